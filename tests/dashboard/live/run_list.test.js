import assert from "node:assert/strict"
import { test } from "node:test"

const at = (name) => import(`../../../dashboard/live/${name}.js`)
const { Columns, figureOf, settingInWords, swept } = await at("list/columns")
const { Choice } = await at("list/choice")
const { csvOf } = await at("list/csv")
const { counted, matcher, parsed, written } = await at("list/filters")
const { forecast } = await at("list/forecast")
const { groupInWords, memberInWords, rowsOf } = await at("list/grouping")
const { positions } = await at("list/sparkline")
const { gridOf } = await at("list/table_head")
const { headWords } = await at("parts/head_words")
const { inField, whenReleased } = await at("parts/dom")

const FIGURES = {
  "quality/grid_kl": { title: "KL", unit: "nats", better: "lower" },
  "density/log_likelihood": { title: "Held-out", unit: "nats", better: "higher" },
}

let made = 0
function run({ kl = 0.1, width = 64, seed = 0, tags = [], ...more } = {}) {
  made += 1
  return {
    id: `r${made}`,
    title: "ring, persistent",
    status: "finished",
    method: "contrastive_divergence",
    preset: "persistent",
    dataset: "ring",
    seed,
    tags,
    note: "",
    created: made,
    step: 100,
    gradients: 1000,
    seconds: 10,
    joules: null,
    budget: { steps: 100 },
    headline: { path: "quality/grid_kl", value: kl },
    figures: { "quality/grid_kl": kl, "quality/grid_kl/goal": 0.05 },
    settings: { "energy.width": width, "sampler.width": 3, learning_rate: 0.001 },
    attempt: 1,
    step_hash: "h",
    started: 0,
    ended: 50,
    ...more,
  }
}

/** Three widths of three seeds; the narrowest is the worst. */
const sweep = () =>
  [32, 64, 128].flatMap((width) =>
    [0, 1, 2].map((seed) => run({ width, seed, kl: (10 + seed) / width, tags: ["sweep:1"] })),
  )

function columns(runs) {
  const known = new Columns(FIGURES)
  for (const one of runs) known.learn(one)
  return known
}

const rows = (runs, more = {}) =>
  rowsOf(runs, {
    fold: true,
    opened: new Set(),
    column: null,
    descending: false,
    figures: FIGURES,
    ...more,
  })

test("a sweep is one row, opened in settings, opened in seeds", () => {
  const runs = [run(), ...sweep()]
  assert.deepEqual(
    rows(runs).map((row) => [row.level, row.runs.length]),
    [
      [0, 9],
      [0, 1],
    ],
  )
  const column = columns(runs).get("headline")
  const opened = new Set(["sweep:1"])
  const settings = rows(runs, { opened, column }).filter((row) => row.level === 1)
  assert.deepEqual(
    settings.map((row) => row.runs[0].settings["energy.width"]),
    [128, 64, 32],
  )
  opened.add(settings[0].id)
  const seeds = rows(runs, { opened, column }).filter((row) => row.level === 2)
  assert.deepEqual(
    seeds.map((row) => row.runs[0].seed),
    [0, 1, 2],
  )
})

test("nothing is folded when that is chosen, and a group of one is a run", () => {
  assert.equal(rows(sweep(), { fold: false }).length, 9)
  assert.deepEqual(rows([run({ tags: ["sweep:9"] })])[0].opened, null)
})

test("forks stand below what they were forked from, the newest family first", () => {
  const fork = (parent, more = {}) => run({ forked_from: { run: parent.id, step: 50 }, ...more })
  const parent = run({ kl: 0.5 })
  const other = run({ kl: 0.3 })
  const [first, second] = [fork(parent, { kl: 0.4 }), fork(parent, { kl: 0.2 })]
  const grandchild = fork(first)
  const all = [parent, other, first, second, grandchild]
  const told = (some, more) => rows(some, more).map((row) => [row.id, row.level, row.isFork])
  const family = [
    [parent.id, 0, false],
    [first.id, 1, true],
    [grandchild.id, 2, true],
    [second.id, 1, true],
  ]
  assert.deepEqual(told(all), [...family, [other.id, 0, false]])
  const column = columns(all).get("headline")
  const best = [family[0], family[3], family[1], family[2]]
  assert.deepEqual(told(all, { column }), [[other.id, 0, false], ...best])
  // flat where nothing is folded; alone where the parent is not listed or in a group
  assert.ok(told(all, { fold: false }).every(([, level]) => level === 0))
  assert.deepEqual(told([first]), [[first.id, 0, false]])
  const member = run({ tags: ["sweep:3"] })
  assert.equal(told([member, run({ tags: ["sweep:3"] }), fork(member)]).at(0)[1], 0)
  const circle = run()
  circle.forked_from = { run: circle.id, step: 1 }
  assert.equal(told([circle]).length, 1)
})

test("a row sorts by its best run, whichever end is better", () => {
  const [bad, good] = [run({ kl: 0.5 }), run({ kl: 0.2 })]
  bad.figures["density/log_likelihood"] = -1
  good.figures["density/log_likelihood"] = -2
  const group = [run({ kl: 0.9, tags: ["sweep:2"] }), run({ kl: 0.1, tags: ["sweep:2"] })]
  const all = [bad, good, ...group]
  const known = columns(all)
  const order = (key, descending) =>
    rows(all, { column: known.get(key), descending }).map((row) => row.runs[0].id)
  assert.deepEqual(order("headline", false), [group[0].id, good.id, bad.id])
  assert.deepEqual(order("f:density/log_likelihood", true), [bad.id, good.id, group[0].id])
})

test("figures of different kinds are not put in one order", () => {
  const other = run({ headline: { path: "density/log_likelihood", value: -9 } })
  const all = [run({ kl: 0.3 }), other, run({ kl: 0.2 })]
  const column = columns(all).get("headline")
  const paths = rows(all, { column }).map((row) => row.runs[0].headline.path)
  assert.deepEqual(paths, ["density/log_likelihood", "quality/grid_kl", "quality/grid_kl"])
})

test("a group is named by what differs, a member by its own values", () => {
  const runs = sweep()
  assert.deepEqual(groupInWords(runs, 0), {
    name: "ring, persistent, width 32, 64, 128",
    facts: "3 × 3 seeds",
  })
  assert.equal(memberInWords(runs[8], runs), "width 128")
  const seeds = runs.slice(0, 3)
  assert.deepEqual(groupInWords(seeds, 0), { name: "ring, persistent", facts: "3 seeds" })
})

test("settings and figures are columns, named apart where their last words are the same", () => {
  const known = columns(sweep())
  assert.deepEqual(
    known.of("setting").map(({ title }) => title),
    ["energy width", "learning rate", "sampler width"],
  )
  assert.equal(known.get("f:quality/grid_kl").title, "KL")
  assert.equal(known.get("f:quality/grid_kl/goal"), undefined)
  assert.deepEqual(known.differing(sweep()), ["s:energy.width"])
  assert.deepEqual([...swept(sweep()).get("energy.width")], [32, 64, 128])
  assert.equal(settingInWords(true) + settingInWords(null), "yesnone")
})

test("a figure is read of whichever series the run has", () => {
  const one = run({ figures: { "quality/d/train_time": 0.4, "quality/d/floor": 0.1 } })
  assert.deepEqual(figureOf(one, "quality/d"), { path: "quality/d/train_time", value: 0.4 })
  assert.equal(figureOf(one, "quality/e"), null)
})

test("filters take several values, and every word of the search counts", () => {
  const all = [
    run({ dataset: "moons", tags: ["paper", "recipe:x"] }),
    run({ dataset: "ring", note: "wide" }),
    run({ dataset: "digits" }),
  ]
  const of = (query) => all.filter(matcher(new Choice(query))).map(({ dataset }) => dataset)
  assert.deepEqual(of("data=moons,ring"), ["moons", "ring"])
  assert.deepEqual(of("data=moons,ring&search=wide persistent"), ["ring"])
  assert.deepEqual(of("tag=paper"), ["moons"])
  assert.deepEqual(counted(all, "tag"), [["paper", 1]])
  assert.deepEqual(counted(all, "launched as"), [["recipe:x", 1]])
})

test("an address gives back what was chosen", () => {
  const odd = new Set(["a,b", "50%", "c d"])
  assert.deepEqual(parsed(written(odd)), odd)
  const query = "search=x&data=moons%2Cring&sort=-headline&cols=s%3Aenergy.width&fold=nothing"
  const choice = new Choice(query)
  assert.deepEqual(new Choice(choice.query()), choice)
  assert.deepEqual([choice.sorted, choice.descending, choice.fold], ["headline", true, false])
  assert.equal(new Choice("").query(), "")
})

test("the queue says when each run starts, as far as earlier runs tell", () => {
  const going = run({ status: "running", seconds_left: 20 })
  const [first, second, other] = ["h", "h", "unknown"].map((step_hash) =>
    run({ status: "queued", step: 0, step_hash }),
  )
  const all = [run(), going, first, second, other]
  const times = forecast(all, [first.id, second.id, other.id], 1)
  assert.deepEqual(times.get(first.id), { starts: 20, takes: 50 })
  assert.deepEqual(times.get(second.id), { starts: 70, takes: 50 })
  assert.deepEqual(times.get(other.id), { starts: 120, takes: null })
  const idle = forecast(all, [first.id], 2)
  assert.equal(idle.get(first.id).starts, 0)
  assert.equal(forecast([first], [first.id], 0).get(first.id).starts, null)
})

test("the table for other programs is in full and holds no formula", () => {
  const one = run({ kl: 0.123456789, title: '=HYPERLINK("x")', tags: ["mine", "sweep:1"] })
  const known = columns([one])
  const chosen = ["trend", "f:quality/grid_kl", "s:energy.width"].map((key) => known.get(key))
  const [names, values] = csvOf([one], chosen).trim().split("\n")
  assert.match(names, /tags,.*quality\/grid_kl,quality\/grid_kl\/goal,.*energy\.width$/)
  assert.match(values, /^r\d+,"'=HYPERLINK\(""x""\)",finished,.*,mine,.*0\.123456789,0\.05,,64$/)
})

test("small pictures stay inside their edges, and one value in the middle", () => {
  assert.deepEqual(positions([1, 2], 84, false), [3, 81])
  assert.deepEqual(positions([5], 84, false), [42])
  const [low, middle, high] = positions([1, 10, 100], 84, false)
  assert.ok(Math.abs(middle - (low + high) / 2) < 1e-9)
})

test("all rows have columns of one width", () => {
  const known = columns(sweep())
  const { template, least } = gridOf(["headline", "seconds"].map((key) => known.get(key)))
  assert.equal(template, "24px 40px minmax(220px, 1fr) 136px 235px 78px")
  assert.equal(least, "803px")
})

test("the head says workers, running, queued and what needs a look", () => {
  const words = (state) => headWords(state).map(({ text }) => text)
  const look = [{ id: "r", name: "ring" }]
  assert.deepEqual(words({ workers: ["cuda:0"], running: 2, queued: 3, look }), [
    "1 worker on cuda:0",
    "2 running",
    "3 queued",
    "1 needs a look",
  ])
  assert.deepEqual(words({ workers: [], running: 0, queued: 0, look: [] }), [
    "no worker",
    "0 running",
  ])
  assert.equal(headWords({ workers: null, running: 0, queued: 0, look })[2].href, "run?id=r")
})

test("a ticked box leaves letters to the page, a text field does not", () => {
  const pressed = (tagName, type, key) => inField({ key, target: { tagName, type } })
  assert.equal(pressed("INPUT", "checkbox", "c"), false)
  assert.equal(pressed("INPUT", "checkbox", " "), true)
  assert.equal(pressed("INPUT", "range", "ArrowLeft"), true)
  assert.equal(pressed("INPUT", "search", "c"), true)
  assert.equal(pressed("TEXTAREA", undefined, "c"), true)
})

test("what comes while the pointer is down is drawn once it is up, once", async () => {
  globalThis.window = new EventTarget()
  const root = new EventTarget()
  let drawn = 0
  const draw = whenReleased(root, () => (drawn += 1))
  const later = () => new Promise((resolve) => setTimeout(resolve, 5))
  draw()
  assert.equal(drawn, 1)
  for (const name of ["pointerup", "pointercancel"]) {
    const before = drawn
    root.dispatchEvent(new Event("pointerdown"))
    draw()
    draw()
    assert.equal(drawn, before)
    window.dispatchEvent(new Event(name))
    assert.equal(drawn, before, "after the click of the release")
    await later()
    assert.equal(drawn, before + 1)
  }
  root.dispatchEvent(new Event("pointerdown"))
  window.dispatchEvent(new Event("pointerup"))
  await later()
  assert.equal(drawn, 3, "nothing had come")
  delete globalThis.window
})
