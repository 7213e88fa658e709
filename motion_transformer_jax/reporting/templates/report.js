"use strict";
(() => {
  // Videos play while they are in view; those of one group keep the same time.
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const watcher = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) target.pause();
      else if (!still) target.play().catch(() => {});
    }
  }, { threshold: 0.25 });
  document.querySelectorAll("video").forEach(video => watcher.observe(video));
  for (const group of document.querySelectorAll(".clip")) {
    const videos = [...group.querySelectorAll("video")];
    for (const leader of videos.slice(0, 1)) {
      const follow = () => {
        for (const video of videos.slice(1))
          if (Math.abs(video.currentTime - leader.currentTime) > 0.1) video.currentTime = leader.currentTime;
      };
      leader.addEventListener("seeked", follow);
      leader.addEventListener("play", follow);
    }
  }

  const table = document.getElementById("all-videos"), body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!("value" in cell.dataset)) return cell.textContent;
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
    const up = heading.getAttribute("aria-sort") !== "ascending";
    headings.forEach(other => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...body.rows].map(row => [value(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);  // what is missing stays below
      return up ? compare(a, b) : compare(b, a);
    });
    body.append(...rows.map(([, row]) => row));
  }));

  const filter = document.getElementById("filter"), shown = document.getElementById("shown");
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    let count = 0;
    for (const row of body.rows) {
      row.hidden = !`${row.cells[0].textContent} ${row.cells[1].textContent}`.toLowerCase().includes(wanted);
      count += !row.hidden;
    }
    shown.textContent = wanted ? `${count} of ${body.rows.length}` : "";
  });
})();
