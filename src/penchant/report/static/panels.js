"use strict";
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const narrow = window.matchMedia("(max-width: 800px)").matches;
  const colours = ["#1b7f5c", "#1f5fbf", "#d49a1f", "#b3423f", "#7a5cc0", "#5d6778"];
  // Plotly reads a small set of HTML tags in its texts: names are data, so their brackets are made harmless.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const short = (text, n) => { const t = [...String(text)]; return plain(t.length > n ? `${t.slice(0, n - 1).join("")}…` : text); };
  const font = { family: "inherit", size: 11 };
  const settings = { displaylogo: false, responsive: true, displayModeBar: false };

  const dots = (place, plot) => {
    const at = plot.label.map((_, i) => i);
    place.style.height = `${90 + 26 * at.length}px`;
    const trace = { type: "scatter", mode: "markers", x: plot.value, y: at, marker: { size: 9, color: colours[0] },
      hoverinfo: "text", hovertext: plot.label.map((l, i) => plot.value[i] === null ? plain(l)
        : `${plain(l)}: ${(100 * plot.value[i]).toFixed(0)} % (${(100 * plot.low[i]).toFixed(0)} to ${(100 * plot.high[i]).toFixed(0)})`),
      error_x: { type: "data", symmetric: false, thickness: 1.5, color: "#8a94a6",
        array: plot.high.map((v, i) => v - plot.value[i]), arrayminus: plot.low.map((v, i) => plot.value[i] - v) } };
    Plotly.newPlot(place, [trace], { margin: { l: narrow ? 130 : 300, r: 30, t: 10, b: 44 }, font, hovermode: "closest",
      xaxis: { range: [0, 1.02], tickformat: ".0%", title: { text: plain(plot.axis) } },
      yaxis: { tickvals: at, ticktext: plot.label.map((l) => short(l, narrow ? 18 : 46)), range: [at.length - 0.4, -0.6], zeroline: false } }, settings);
  };

  const lines = (place, plot) => {
    const traces = [];
    plot.series.forEach((s, i) => {
      const colour = colours[i % colours.length];
      traces.push({ type: "scatter", mode: "lines", x: [...s.x, ...[...s.x].reverse()], y: [...s.high, ...[...s.low].reverse()],
        fill: "toself", fillcolor: colour, opacity: 0.13, line: { width: 0 }, hoverinfo: "skip", showlegend: false });
      traces.push({ type: "scatter", mode: "lines+markers", name: plain(s.name), x: s.x, y: s.value, marker: { size: 6 },
        line: { color: colour, width: 2 }, hovertemplate: `${plain(s.name)}: %{y:.3f}<extra></extra>` });
    });
    Plotly.newPlot(place, traces, { margin: { l: 60, r: 20, t: 10, b: 44 }, font, legend: { orientation: narrow ? "h" : "v", y: narrow ? -0.3 : 1 },
      xaxis: { title: { text: plain(plot.x_axis) }, dtick: 1 }, yaxis: { title: { text: plain(plot.axis) }, rangemode: "tozero" } }, settings);
  };

  data.plots.forEach((plot, i) => {
    if (plot) (plot.kind === "dots" ? dots : lines)(document.getElementById(`plot-${i}`), plot);
  });
  document.body.dataset.ready = "yes";
})();
