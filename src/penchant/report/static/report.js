"use strict";
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const { map, words } = data;
  const palette = ["#1b7f5c", "#d49a1f", "#1f5fbf", "#b8437a", "#7a5cc4", "#3aa0a8", "#c2572b", "#6b8e23", "#8a5a44",
    "#4d7ea8", "#a33b3b", "#557a46", "#9467bd", "#e07b39", "#2f7f93", "#997a00", "#c06090", "#5b6b9a", "#3f8f3f",
    "#b06a2c", "#70509c", "#208080", "#a04848", "#607080"];
  const layout = { margin: { l: 8, r: 8, t: 8, b: 8 }, showlegend: false, hovermode: "closest", paper_bgcolor: "#fff",
    plot_bgcolor: "#fff", font: { family: "inherit", size: 11 } };
  const options = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d", "toImage"] };
  // Plotly reads a small set of HTML tags in its texts: item titles are data, so their brackets are made harmless.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

  const colourOf = (values) => {
    const counts = new Map();
    values.forEach((v) => counts.set(v, (counts.get(v) || 0) + 1));
    const order = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
    const code = new Map(order.map((v, i) => [v, palette[i % palette.length]]));
    return values.map((v) => code.get(v));
  };
  const hover = map.title.map((title, i) => `<b>${plain(short(title, 70))}</b><br>${plain(map.names[map.leaf[i]])}` +
    `<br>${map.n_users[i]} ${plain(words.users)}`);
  const most = Math.max(1, ...map.n_users);
  const sizes = map.n_users.map((n) => 4 + 9 * Math.sqrt(n / most));

  const plot = document.getElementById("map-plot");
  const select = document.getElementById("colour");
  Object.keys(map.colours).forEach((key) => select.add(new Option(words[key] || key, key)));
  const narrow = window.matchMedia("(max-width: 800px)").matches;
  const space = { x: Infinity, X: -Infinity, y: Infinity, Y: -Infinity };
  map.x.forEach((x, i) => { space.x = Math.min(space.x, x); space.X = Math.max(space.X, x);
    space.y = Math.min(space.y, map.y[i]); space.Y = Math.max(space.Y, map.y[i]); });
  const taken = [];  // labels that would lie over one another are left to the list and to hovering
  const counts = map.labels.map((l) => map.leaf.filter((leaf) => leaf === l.leaf).length);
  const byCount = map.labels.map((l, i) => [l, counts[i]]).sort((a, b) => b[1] - a[1]).map(([l]) => l);
  const free = byCount.filter((l) => {
    const wide = (space.X - space.x) * (narrow ? 0.3 : 0.17), high = (space.Y - space.y) * 0.032;
    const clash = taken.some((o) => Math.abs(o.x - l.x) < wide && Math.abs(o.y - l.y) < high);
    if (!clash) taken.push(l);
    return !clash;
  });
  const dots = { type: "scatter", mode: "markers", x: map.x, y: map.y, text: hover, hoverinfo: "text",
    marker: { size: sizes, color: colourOf(map.colours[Object.keys(map.colours)[0]]), opacity: 0.75, line: { width: 0 } } };
  const names = { type: "scatter", mode: "text", x: free.map((l) => l.x), y: free.map((l) => l.y), hoverinfo: "skip",
    text: free.map((l) => `<b>${plain(short(map.names[l.leaf], narrow ? 18 : 28))}</b>`),
    textfont: { size: narrow ? 9 : 11, color: "#1d2430", shadow: "1px 1px 2px #fff, -1px -1px 2px #fff" } };
  const axis = (low, high, part) => ({ visible: false, fixedrange: narrow,  // room for labels at the edges
    range: [low - (high - low) * part - 1e-3, high + (high - low) * part + 1e-3] });
  const xaxis = axis(space.x, space.X, narrow ? 0.2 : 0.12), yaxis = axis(space.y, space.Y, 0.04);
  Plotly.newPlot(plot, [dots, names], { ...layout, xaxis, yaxis }, options);
  document.getElementById("shown").textContent = `${map.n_shown} ${words.map_sample} ${map.n_items}`;
  select.addEventListener("change", () => Plotly.restyle(plot, { "marker.color": [colourOf(map.colours[select.value])] }, [0]));

  const contents = document.getElementById("map-contents");
  let chosen = null;
  const show = (leaf, button) => {
    contents.querySelectorAll("button.on").forEach((b) => b.classList.remove("on"));
    chosen = chosen === leaf ? null : leaf;
    if (chosen !== null) button.classList.add("on");
    const opacity = map.leaf.map((l) => (chosen === null ? 0.75 : l === chosen ? 1 : 0.07));
    Plotly.restyle(plot, { "marker.opacity": [opacity] }, [0]);
  };
  [...map.labels].sort((a, b) => map.names[a.leaf].localeCompare(map.names[b.leaf])).forEach((l) => {
    const entry = document.createElement("li"), button = document.createElement("button");
    button.textContent = map.names[l.leaf];
    button.addEventListener("click", () => show(l.leaf, button));
    entry.append(button);
    contents.append(entry);
  });
  document.getElementById("find").addEventListener("input", (event) => {
    const sought = event.target.value.trim().toLowerCase();
    contents.querySelectorAll("li").forEach((li) => { li.hidden = !li.textContent.toLowerCase().includes(sought); });
  });

  if (data.reliability.length) {
    const axis = (title) => ({ title: { text: title }, range: [0, 1], zeroline: false, gridcolor: "#eef1f5" });
    const bins = data.reliability;
    Plotly.newPlot("reliability-plot", [
      { x: [0, 1], y: [0, 1], mode: "lines", line: { color: "#8a94a6", dash: "dot" }, hoverinfo: "skip" },
      { x: bins.map((b) => b.forecast), y: bins.map((b) => b.observed), mode: "lines+markers", line: { color: "#1b7f5c" },
        text: bins.map((b) => `n = ${b.n_points}`), hovertemplate: "%{x:.3f} → %{y:.3f}<br>%{text}<extra></extra>" },
    ], { ...layout, margin: { l: 48, r: 10, t: 10, b: 44 }, xaxis: axis(words.forecast), yaxis: axis(words.observed) }, options);
    Plotly.newPlot("hits-plot", [{ type: "bar", x: data.layers.map((l) => words[l.layer]), y: data.layers.map((l) => l.hit_share),
      marker: { color: ["#1b7f5c", "#d49a1f", "#8a94a6"] }, hovertemplate: "%{y:.3f}<extra></extra>" }],
    { ...layout, margin: { l: 48, r: 10, t: 10, b: 30 }, yaxis: { gridcolor: "#eef1f5", tickformat: ".0%" } }, options);
  }
  document.body.dataset.ready = "yes";
})();
