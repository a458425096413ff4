// Brings the views of a page to life: each has its data beside its still. Without this script, or if a view fails, the
// still stays, with its words.
const views = new URL("./views.js", document.currentScript.src);

async function bringToLife(figure) {
  const place = document.createElement("div");
  figure.append(place);
  try {
    const { mount } = await import(views);
    await mount(place, JSON.parse(figure.querySelector("script").textContent));
    figure.classList.add("alive");
    letKeysScroll();
  } catch (error) {
    place.remove();
    console.warn(`The view ${figure.dataset.view} stays a still: ${error}`);
  }
}

// What scrolls must be reachable by keyboard too.
const BOXES = "pre, .cell_output, .pst-scrollable-table-container";

function letKeysScroll() {
  for (const box of document.querySelectorAll(BOXES)) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
    } else {
      box.removeAttribute("tabindex");
    }
  }
}

// What the theme leaves without a name: the arrows that unfold the list of pages, and the list itself.
function nameForScreenReaders() {
  const pages = document.querySelector(".bd-sidebar-primary");
  pages?.setAttribute("role", "complementary");
  pages?.setAttribute("aria-label", "The site");
  for (const arrow of document.querySelectorAll(".bd-sidenav summary")) {
    const section = arrow.closest("li").querySelector("a").textContent.trim();
    arrow.setAttribute("aria-label", `Pages of ${section}`);
  }
}

// Paper is white: the dark look would print grey on it, and the theme's headings black on black.
let onScreen;
window.addEventListener("beforeprint", () => {
  onScreen = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
window.addEventListener("afterprint", () => { document.documentElement.dataset.theme = onScreen; });

document.addEventListener("DOMContentLoaded", () => {
  nameForScreenReaders();
  document.querySelectorAll("figure.course-view").forEach(bringToLife);
  // A box begins to scroll when the page narrows, and also when a font, a picture or a view arrives inside it.
  const sizes = new ResizeObserver(letKeysScroll);
  for (const box of document.querySelectorAll(BOXES)) {
    sizes.observe(box);
    for (const inside of box.children) {
      sizes.observe(inside);
    }
  }
  document.fonts.ready.then(letKeysScroll);
  window.addEventListener("load", letKeysScroll);
});
