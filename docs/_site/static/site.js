// A table that scrolls can be scrolled by keys.
addEventListener("load", () => {
  for (const table of document.querySelectorAll(".bd-article table"))
    if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
});
