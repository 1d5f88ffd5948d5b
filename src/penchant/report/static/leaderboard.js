"use strict";
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const narrow = window.matchMedia("(max-width: 800px)").matches;
  // Plotly reads a small set of HTML tags in its texts: names are data, so their brackets are made harmless.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  data.fronts.forEach((front, i) => {
    const place = document.getElementById(`front-${i}`);
    const best = front.method.map((_, j) => j).filter((j) => front.pareto[j])
      .sort((a, b) => front.seconds[a] - front.seconds[b]);
    const points = { type: "scatter", mode: "markers+text", cliponaxis: false, x: front.seconds.map((s) => Math.max(s, 1e-3)), y: front.quality,
      text: front.method.map(plain), textposition: front.method.map((_, j) => (j % 2 ? "bottom center" : "top center")),
      textfont: { size: narrow ? 9 : 11 }, hoverinfo: "text",
      hovertext: front.method.map((m, j) => `${plain(m)}: ${front.quality[j].toFixed(4)}, ${front.seconds[j].toFixed(1)} s`),
      error_y: { type: "data", symmetric: false, thickness: 1, color: "#8a94a6",
        array: front.high.map((v, j) => v - front.quality[j]), arrayminus: front.low.map((v, j) => front.quality[j] - v) },
      marker: { size: 10, color: front.pareto.map((p) => (p ? "#1b7f5c" : "#8a94a6")) } };
    const line = { type: "scatter", mode: "lines", x: best.map((j) => Math.max(front.seconds[j], 1e-3)),
      y: best.map((j) => front.quality[j]), line: { color: "#1b7f5c", width: 1, dash: "dot", shape: "hv" }, hoverinfo: "skip" };
    const layout = { margin: { l: 60, r: 40, t: 28, b: 44 }, showlegend: false, hovermode: "closest",
      font: { family: "inherit", size: 11 }, xaxis: { type: "log", title: { text: data.words.seconds } },
      yaxis: { title: { text: front.label }, rangemode: "tozero" } };
    Plotly.newPlot(place, [line, points], layout, { displaylogo: false, responsive: true, displayModeBar: false });
  });
  document.body.dataset.ready = "yes";
})();
