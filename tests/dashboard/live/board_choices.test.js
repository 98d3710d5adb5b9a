import assert from "node:assert/strict"
import { test } from "node:test"

import {
  choicesFrom,
  linkedCharts,
  metricNamed,
  pathsToChart,
  SMOOTHING,
} from "../../../dashboard/live/charts/board_choices.js"

const address = (query) => {
  const found = new URLSearchParams(query)
  return (name) => found.get(name)
}
const source = {
  headline: ["quality/kl", "energy/gap", "loss/total"],
  most: 2,
  paths: () => ["energy/gap", "loss/total", "own/path"],
  canPlace: (path) => source.paths().includes(path),
}
const titles = { "energy/gap": "Energy gap", "loss/total": "Loss", "own/path": "Lost chains" }
const about = (path) => ({ title: titles[path] })

test("a link says what a board shows", () => {
  const query = "axis=seconds&smooth=0.2&zoom=10,20&hide=a,b&log=loss/total&y=loss/total~0.5~2"
  assert.deepEqual(choicesFrom(address(query), "step"), {
    chosenAxis: "seconds",
    smoothing: 0.2,
    zoom: [10, 20],
    hidden: new Set(["a", "b"]),
    turned: new Set(["loss/total"]),
    heights: new Map([["loss/total", [0.5, 2]]]),
  })
  assert.deepEqual(linkedCharts(address("charts=a,b")), ["a", "b"])
})

test("what a link says wrongly counts as not said", () => {
  const choices = choicesFrom(address("axis=miles&smooth=1.5&zoom=20,10&y=loss~a~b,energy"), "step")
  assert.equal(choices.chosenAxis, "step")
  assert.equal(choices.smoothing, SMOOTHING)
  assert.equal(choices.zoom, null)
  assert.equal(choices.heights.size, 0)
})

test("the best figures that are known open first, and one that is missing is waited for", () => {
  assert.deepEqual(pathsToChart(source, []), { paths: ["energy/gap", "loss/total"], isWhole: true })
  const early = { ...source, canPlace: (path) => path === "energy/gap" }
  assert.deepEqual(pathsToChart(early, []), { paths: ["energy/gap"], isWhole: false })
  assert.deepEqual(pathsToChart(source, [], ["energy/gap"]), {
    paths: ["loss/total"],
    isWhole: true,
  })
})

test("a run of which nothing is expected shows what it has", () => {
  assert.deepEqual(pathsToChart({ ...source, headline: ["none"] }, []).paths, [
    "energy/gap",
    "loss/total",
  ])
})

test("what a run took of its machine is none of the charts that open by themselves", () => {
  const paths = () => ["system/cpu", "loss/total"]
  assert.deepEqual(pathsToChart({ ...source, headline: [], paths }, []).paths, ["loss/total"])
})

test("a link's charts are all opened", () => {
  const linked = ["own/path", "loss/total", "energy/gap"]
  assert.deepEqual(pathsToChart(source, linked), { paths: linked, isWhole: true })
})

test("a metric is found by path, by title and by words that one alone holds", () => {
  const named = (words) => metricNamed(words, source.paths(), about)
  assert.equal(named("LOSS/total").path, "loss/total")
  assert.equal(named("loss").path, "loss/total")
  assert.equal(named("chains").path, "own/path")
  assert.deepEqual(named("s"), { path: undefined, problem: "Several metrics fit." })
  assert.deepEqual(named("speed"), { path: undefined, problem: "No such metric." })
})
