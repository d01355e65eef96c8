// Asks before something is done: a dialog that the thumb reaches, Escape leaves, and the keyboard walks.

const dialog = document.getElementById("confirm");
const text = document.getElementById("confirm-text");
const title = document.getElementById("confirm-title");
const amountPart = document.getElementById("confirm-amount");
const amount = document.getElementById("amount");
const unlimited = document.getElementById("amount-unlimited");
const yes = document.getElementById("confirm-yes");

const LIMIT_MAX = 2147483647;

function step(by) {
  const number = Number.parseInt(amount.value, 10);
  amount.value = Math.min(LIMIT_MAX, Math.max(0, (Number.isNaN(number) ? 0 : number) + by));
  unlimited.checked = false;
  amount.disabled = false;
}

document.getElementById("amount-less").addEventListener("click", () => step(-1));
document.getElementById("amount-more").addEventListener("click", () => step(1));
document.getElementById("confirm-no").addEventListener("click", () => dialog.close(""));
unlimited.addEventListener("change", () => {
  amount.disabled = unlimited.checked;
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close("");  // beside it
});

// Resolves to null (no), true, or, if `limit` is given, the number that was chosen (-1: unlimited).
export function confirm({ heading, question, button, danger = false, limit = null }) {
  title.textContent = heading;
  text.textContent = question;
  yes.textContent = button;
  yes.classList.toggle("danger", danger);
  amountPart.hidden = limit === null;
  amount.required = limit !== null;
  amount.disabled = limit === null;
  amount.value = limit ?? "";
  unlimited.checked = false;
  dialog.returnValue = "";
  dialog.showModal();
  if (limit === null) document.getElementById("confirm-no").focus();
  else amount.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") resolve(null);
      else if (limit === null) resolve(true);
      else resolve(unlimited.checked ? -1 : Number.parseInt(amount.value, 10));
    }, { once: true });
  });
}
