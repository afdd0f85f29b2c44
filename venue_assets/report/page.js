"use strict";
(() => {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  // The interpreter instead of eval: the page's policy allows no code but its own two scripts.
  const options = { actions: false, renderer: "svg", ast: true, tooltip: { theme: "report" } };
  const drawn = [...document.querySelectorAll("[data-chart]")].map((place) =>
    vegaEmbed(place, specs[place.dataset.chart], options).then(({ view }) => {
      const svg = view.container().querySelector("svg");
      svg.setAttribute("focusable", "false");
    })
  );
  Promise.all(drawn).then(() => document.documentElement.setAttribute("data-drawn", String(drawn.length)));
  const folded = [];
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details[data-print]:not([open])")) {
      details.open = true;
      folded.push(details);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const details of folded.splice(0)) details.open = false;
  });
})();
