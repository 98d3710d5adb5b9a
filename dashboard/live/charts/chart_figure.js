// A chart as a figure for a paper: its title, the run, units at the axes, lines by name.

import { figure } from "../parts/formatting.js"

const HEIGHT = 320
const LEAST_WIDTH = 480

/** Plotly takes words for HTML. */
function plain(words) {
  return words.replace(/[<>&]/g, (sign) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;" })[sign])
}

/**
 * Data and layout for Plotly of a chart that is drawn as `plot` {data, layout}. `words`: {title,
 * subtitle, unit, axis, references: [{word, value}], width, colours}.
 */
export function figureOf({ data, layout }, words) {
  const { title, subtitle, unit, axis, references, width, colours } = words
  // a line that is called as the chart needs no legend
  const isNamed = (trace) => trace.name && trace.name !== title && trace.hoverinfo !== "skip"
  const isLog = layout.yaxis.type === "log"
  const named = references
    .filter(({ value }) => Number.isFinite(value) && (!isLog || value > 0))
    .map(({ word, value }) => ({
      xref: "paper",
      x: 1,
      xanchor: "right",
      xshift: -10,
      y: isLog ? Math.log10(value) : value,
      yanchor: "bottom",
      text: `${word} ${figure(value)}`,
      showarrow: false,
      font: { size: 11.5, color: colours.muted },
    }))
  const second = subtitle && `<br><span style="font-size:12.5px">${plain(subtitle)}</span>`
  const axisTitle = (text) => ({ text: plain(text), font: { size: 12.5, color: colours.text } })
  return {
    data: data.map((trace) => ({ ...trace, showlegend: Boolean(isNamed(trace)) })),
    layout: {
      ...layout,
      paper_bgcolor: colours.bg,
      plot_bgcolor: colours.bg,
      margin: { l: 72, r: 24, t: 66, b: data.some(isNamed) ? 76 : 48 },
      title: {
        text: `<b>${plain(title)}</b>${second}`,
        font: { size: 15, color: colours.text },
        x: 0,
        xanchor: "left",
        y: 1,
        yanchor: "top",
        pad: { l: 14, t: 22 },
      },
      xaxis: { ...layout.xaxis, title: { ...axisTitle(axis), standoff: 4 } },
      yaxis: { ...layout.yaxis, title: { ...axisTitle(unit), standoff: 8 } },
      annotations: [...(layout.annotations ?? []), ...named],
      height: HEIGHT,
      width: Math.max(width, LEAST_WIDTH),
      showlegend: data.some(isNamed),
      legend: { orientation: "h", x: 0, xanchor: "left", y: -0.24, yanchor: "top" },
    },
  }
}
