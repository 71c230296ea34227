"use strict";
// Draws every figure of the page; what goes wrong is said on the page, not only in the console.
(function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const plots = [...document.querySelectorAll("[data-figure]")];
  const fine = window.matchMedia("(pointer: fine)").matches;
  const config = {
    displaylogo: false,
    displayModeBar: fine ? "hover" : false,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
  };

  function complain(error) {
    const line = document.getElementById("problem");
    line.textContent = "A figure could not be drawn: " + (error && error.message ? error.message : error);
    line.hidden = false;
  }

  window.addEventListener("error", (event) => complain(event.error || event.message));
  // Follows the column's width, on a turned phone and on paper too, where no window is resized.
  const widths = new Map();
  const refit = (plot) => {
    const width = plot.clientWidth;
    if (width && widths.get(plot) !== width) {
      widths.set(plot, width);
      Plotly.relayout(plot, { width }).catch(complain);
    }
  };
  const observer = new ResizeObserver((entries) => entries.forEach((entry) => refit(entry.target)));

  for (const plot of plots) {
    const { data, layout } = figures[plot.dataset.figure];
    layout.width = plot.clientWidth;
    layout.dragmode = fine ? "zoom" : false; // a finger scrolls the page
    try {
      Plotly.newPlot(plot, data, layout, config).then(() => observer.observe(plot)).catch(complain);
    } catch (error) {
      complain(error);
    }
  }
})();
