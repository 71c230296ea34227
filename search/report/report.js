"use strict";
// Draws every figure of the page; what goes wrong is said on the page, not only in the console.
(function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const plots = [...document.querySelectorAll("[data-figure]")];
  const fine = window.matchMedia("(pointer: fine)").matches;
  const config = {
    responsive: true,
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
  for (const plot of plots) {
    const { data, layout } = figures[plot.dataset.figure];
    layout.dragmode = fine ? "zoom" : false; // a finger scrolls the page
    try {
      Plotly.newPlot(plot, data, layout, config).catch(complain);
    } catch (error) {
      complain(error);
    }
  }
  const refit = () => plots.forEach((plot) => Plotly.Plots.resize(plot));
  window.addEventListener("beforeprint", refit);
  window.addEventListener("afterprint", refit);
})();
