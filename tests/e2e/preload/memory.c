// For LD_PRELOAD: memory runs out on a thread that has accepted a TCP connection. In the file that
// CONTROL names: [0] so many allocations later, -1: never; [1] for so many allocations; [2] how often
// it did.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void* __libc_malloc(size_t);
extern void* __libc_memalign(size_t, size_t);

static volatile long* control;
static __thread long left __attribute__((tls_model("initial-exec"))) = -1;
static __thread long fails __attribute__((tls_model("initial-exec"))) = 0;

__attribute__((constructor)) static void begin(void) {
  const int file = open(getenv("CONTROL"), O_RDWR | O_CLOEXEC);
  control = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
}

static int runs_out(void) {
  if (left < 0 || left-- > 0) return 0;
  if (--fails > 0) left = 0;
  __atomic_add_fetch(&control[2], 1, __ATOMIC_RELAXED);
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) {
  return runs_out() ? 0 : __libc_malloc(size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  return runs_out() ? 0 : __libc_memalign(alignment, size);
}

int accept(int socket, struct sockaddr* address, socklen_t* length) {
  const int fd = (int)syscall(SYS_accept4, socket, address, length, 0);
  struct sockaddr_storage own;
  socklen_t own_length = sizeof own;
  if (fd < 0 || getsockname(fd, (struct sockaddr*)&own, &own_length) != 0) return fd;
  if (own.ss_family != AF_UNIX && control != 0) {
    left = __atomic_exchange_n(&control[0], -1, __ATOMIC_RELAXED);
    fails = control[1];
  }
  return fd;
}
