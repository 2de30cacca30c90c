// Find: hides what does not hold every word. The words stand in the address, so that a view can be sent.
// The name of a state asks for rows in that state, not for texts in which it occurs.
// Without this script the field stays hidden and the page is whole.
const rows = [...document.querySelectorAll("[data-find]")];
const forms = [...document.querySelectorAll("form.find")];
const asked = () => new URLSearchParams(location.hash.slice(1)).get("find") || "";
const states = (row) => [row, ...row.querySelectorAll("[data-state]")].map((one) => one.dataset.state);
const known = new Set(rows.flatMap(states));
const holds = (row, content, word) => (known.has(word) ? states(row).includes(word) : content.includes(word));
const show = (text) => {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const row of rows) {
    const content = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => holds(row, content, word));
    found += !row.hidden;
  }
  for (const form of forms) {
    if (form.find.value !== text) form.find.value = text;
    form.querySelector("output").textContent = text ? `${found} of ${rows.length}` : "";
  }
};
for (const form of forms) {
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.find.addEventListener("input", () => {
    const text = form.find.value;
    history.replaceState(null, "", text ? `#find=${encodeURIComponent(text)}` : location.pathname);
    show(text);
  });
}
window.addEventListener("hashchange", () => show(asked()));
if (forms.length && asked()) show(asked());
