// Charts and panels as figures for papers.

import assert from "node:assert/strict"
import test from "node:test"

import { figureOf } from "../../../dashboard/live/charts/chart_figure.js"
import { pageOf } from "../../../dashboard/live/parts/figures/paper.js"

const colours = { bg: "#fff", text: "#111", muted: "#555" }
const plot = {
  data: [
    { name: "train-time", x: [1], y: [2] },
    { name: "long-run", x: [1], y: [3] },
    { name: "raw", hoverinfo: "skip" },
  ],
  layout: {
    xaxis: {},
    yaxis: { type: "log" },
    annotations: [{ text: "step size 0.1" }],
  },
}
const words = {
  title: "Distance <b>",
  subtitle: "my run · 512 samples",
  unit: "nats, log",
  axis: "gradients",
  references: [
    { word: "floor", value: 0.01 },
    { word: "goal", value: -1 },
  ],
  width: 300,
  colours,
}

test("a chart's figure says what, of which run, in which units, and names its lines", () => {
  const { data, layout } = figureOf(plot, words)
  assert.match(layout.title.text, /^<b>Distance &lt;b&gt;<\/b><br>.*my run · 512 samples/)
  assert.equal(layout.xaxis.title.text, "gradients")
  assert.equal(layout.yaxis.title.text, "nats, log")
  assert.deepEqual(
    data.map((trace) => trace.showlegend),
    [true, true, false],
  )
  assert.equal(layout.showlegend, true)
})

test("reference lines are named where they lie, marks stay", () => {
  const { annotations } = figureOf(plot, words).layout
  assert.deepEqual(
    annotations.map(({ text }) => text),
    ["step size 0.1", "floor 0.01"],
  )
  assert.equal(annotations[1].y, -2)
})

test("a line that is called as its chart has no legend", () => {
  const single = { ...plot, data: [{ name: "Distance <b>" }] }
  assert.equal(figureOf(single, words).layout.showlegend, false)
})

test("what is printed is the figure alone on paper of its size", () => {
  const page = pageOf("<svg></svg>", [480, 320], "run <1>", "")
  assert.match(page, /@page { size: 480px 320px; margin: 0 }/)
  assert.match(page, /<title>run  1><\/title>/)
  assert.ok(page.endsWith("<svg></svg>"))
})
