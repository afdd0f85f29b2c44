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
  // On paper as wide as there: charts are drawn anew for it, or their letters would shrink with them.
  const paper = (is) => {
    document.documentElement.classList.toggle("paper", is);
    window.dispatchEvent(new Event("resize"));
  };
  window.addEventListener("beforeprint", () => paper(true));
  window.addEventListener("afterprint", () => paper(false));
})();
