// Shows the rows that hold every word, and are of the kind that is chosen. What is chosen stands behind the `#` of the
// address (`#q=words&fate=kind`), so that a view can be sent to somebody.
const words = document.getElementById("words");
const fate = document.getElementById("fate");
const rows = [...document.querySelectorAll("tbody tr")].map((row) => [row, row.textContent.toLowerCase()]);

function show() {
  const wanted = words.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const [row, text] of rows) {
    row.hidden = !(wanted.every((word) => text.includes(word)) && ["", row.dataset.fate].includes(fate.value));
    shown += row.hidden ? 0 : 1;
  }
  document.getElementById("shown").textContent = `${shown} of ${rows.length}`;
}

function read() {
  const chosen = new URLSearchParams(location.hash.slice(1));
  words.value = chosen.get("q") ?? "";
  fate.value = chosen.get("fate") ?? "";
  show();
}

function write() {
  const chosen = new URLSearchParams({ q: words.value, fate: fate.value });
  history.replaceState(null, "", `#${chosen}`);
  show();
}

words.addEventListener("input", write);
fate.addEventListener("change", write);
addEventListener("hashchange", read);
read();
