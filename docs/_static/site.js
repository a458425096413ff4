// Brings the views of a page to life: each has its data beside its still. Without this script, or if a view fails, the
// still stays, with its words.
const figures = document.querySelectorAll("figure.course-view");
if (figures.length) {
  const { mount } = await import(new URL("./views.js", import.meta.url));
  for (const figure of figures) {
    const place = document.createElement("div");
    figure.append(place);
    try {
      await mount(place, JSON.parse(figure.querySelector("script").textContent));
      figure.classList.add("alive");
    } catch (error) {
      place.remove();
      console.error(`The view ${figure.dataset.view} stays a still:`, error);
    }
  }
}

// What scrolls must be reachable by keyboard too.
for (const box of document.querySelectorAll("pre, .cell_output .output, .pst-scrollable-table-container")) {
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
}
