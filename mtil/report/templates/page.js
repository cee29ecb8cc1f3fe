"use strict";

for (const heading of document.querySelectorAll(".sortable th[data-sort]")) {
  heading.querySelector("button").addEventListener("click", () => sortBy(heading));
}

function sortBy(heading) {
  const falling = heading.ariaSort === "ascending";
  const sign = falling ? -1 : 1;
  const value = (row) => row.cells[heading.cellIndex].dataset.value;
  const compare = heading.dataset.sort === "number"
    ? (a, b) => value(a) - value(b)
    : (a, b) => value(a).localeCompare(value(b));
  const body = heading.closest("table").tBodies[0];
  body.append(...[...body.rows].sort((a, b) => sign * compare(a, b)));
  for (const other of heading.parentElement.cells) other.ariaSort = null;
  heading.ariaSort = falling ? "descending" : "ascending";
}

document.getElementById("task")?.addEventListener("change", (event) => {
  const wanted = event.target.value;
  let shown = 0;
  for (const episode of document.querySelectorAll("#failed .episode")) {
    episode.hidden = wanted !== "" && episode.dataset.task !== wanted;
    shown += !episode.hidden;
  }
  document.getElementById("shown").textContent = `${shown} shown`;
});

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const code = button.previousElementSibling;
    getSelection().selectAllChildren(code);  // to be copied by hand where the clipboard is closed to pages
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

// Telephones play a film from a blob, but not from a data: address.
for (const video of document.querySelectorAll("video")) {
  const bytes = Uint8Array.from(atob(video.src.split(",")[1]), (letter) => letter.charCodeAt(0));
  video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
}
