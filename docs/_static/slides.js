// Turns the slides with the keyboard, and unfolds them for print. Without this script they are scrolled.
const slides = [...document.querySelectorAll("section")];

function here() {
  const middle = innerHeight / 2;
  return Math.max(0, slides.findIndex((slide) => slide.getBoundingClientRect().bottom > middle));
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const pressed = document.activeElement.closest("summary, a") && event.key === " ";  // there it has a meaning of its own
  const to = { ArrowRight: here() + 1, ArrowDown: here() + 1, PageDown: here() + 1, " ": here() + 1, ArrowLeft: here() - 1,
    ArrowUp: here() - 1, PageUp: here() - 1, Home: 0, End: slides.length - 1 }[event.key];
  const slide = slides[to];
  if (pressed || !slide) return;
  // A slide that is longer than the window is read to its end with the keys that scroll.
  const box = slides[here()].getBoundingClientRect();
  const scrolls = { ArrowDown: box.bottom > innerHeight + 4, ArrowUp: box.top < -4, PageDown: box.bottom > innerHeight + 4,
    PageUp: box.top < -4, " ": box.bottom > innerHeight + 4 }[event.key];
  if (scrolls) return;
  event.preventDefault();
  slide.scrollIntoView();
});

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
