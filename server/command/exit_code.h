// How every command ends (sysexits.h for the last two).
#pragma once

namespace tallygate::command {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;     // refused or failed
inline constexpr int kUsage = 64;     // wrong words on the command line
inline constexpr int kSettings = 78;  // wrong settings or keyring

}  // namespace tallygate::command
