// Find: hides what does not hold every word. The words stand in the address, so that a view can be sent.
// Without this script the field stays hidden and the page is whole.
const rows = [...document.querySelectorAll("[data-find]")];
const forms = [...document.querySelectorAll("form.find")];
const asked = () => new URLSearchParams(location.hash.slice(1)).get("find") || "";
const show = (text) => {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const row of rows) {
    const content = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => content.includes(word));
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
