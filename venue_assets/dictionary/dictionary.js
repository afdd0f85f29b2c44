"use strict";
const box = document.getElementById("search"), told = document.getElementById("told"), usual = told.textContent;
const entries = [...document.querySelectorAll(".entry")].map((node) => [node, node.textContent.toLowerCase()]);
const groups = [...document.querySelectorAll("section.group")];
function search() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const [node, text] of entries) {
    node.hidden = !words.every((word) => text.includes(word));
    shown += !node.hidden;
  }
  for (const group of groups) group.hidden = words.length > 0 && !group.querySelector(".entry:not([hidden])");
  told.classList.toggle("found", words.length > 0);
  told.textContent = words.length ? told.dataset.found.replace("{}", shown).replace("{}", entries.length) : usual;
  document.getElementById("nothing").hidden = shown > 0;
}
box.addEventListener("input", search);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== box) { event.preventDefault(); box.focus(); box.select(); }
  if (event.key === "Escape" && document.activeElement === box) { box.value = ""; search(); }
});
document.addEventListener("click", async (event) => {
  const other = event.target.closest("#other");
  if (other) other.hash = location.hash;  // the same entry in the other language
  const link = event.target.closest('a[href^="#"]');
  if (link && box.value) { box.value = ""; search(); }
  if (link && link.closest(".contents")) link.closest(".contents").open = false;
  const button = event.target.closest(".copy");
  if (!button) return;
  const code = button.parentElement.querySelector("code");
  try { await navigator.clipboard.writeText(code.textContent); } catch {
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
  }
  button.dataset.usual ??= button.textContent;
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = button.dataset.usual; }, 1500);
});
