// When the runs of the queue start, as far as earlier runs tell how long such a run takes.

/** Wall seconds a run is likely to take, null where nothing tells. */
export function secondsOf(run, alike) {
  const paces = alike
    .filter((other) => other.attempt <= 1 && other.step > 0 && other.ended > other.started)
    .map((other) => (other.ended - other.started) / other.step)
    .sort((a, b) => a - b)
  const steps = run.budget.steps ? run.budget.steps - run.step : null
  const pace = paces[Math.floor(paces.length / 2)]
  if (steps !== null && pace !== undefined) return pace * steps
  return run.budget.seconds ? Math.max(run.budget.seconds - run.seconds, 0) : null
}

/**
 * By id of each queued run: {starts, takes}, in seconds from now, null where not known. `workers`:
 * how many work, null where not known.
 */
export function forecast(runs, queue, workers) {
  const byId = new Map(runs.map((run) => [run.id, run]))
  const waiting = queue.map((id) => byId.get(id)).filter(Boolean)
  const hashes = new Set(waiting.map((run) => run.step_hash).filter(Boolean))
  const alike = new Map([...hashes].map((hash) => [hash, []]))
  for (const run of runs) {
    if (run.status === "finished") alike.get(run.step_hash)?.push(run)
  }
  const left = runs
    .filter((run) => run.status === "running")
    .map((run) => run.seconds_left ?? Infinity)
  const idle = Math.max((workers ?? left.length) - left.length, 0)
  const free = [...left, ...Array(idle).fill(0)]
  const times = new Map()
  for (const run of waiting) {
    const takes = secondsOf(run, alike.get(run.step_hash) ?? [])
    const first = free.length ? Math.min(...free) : Infinity
    times.set(run.id, { starts: Number.isFinite(first) ? first : null, takes })
    free[free.indexOf(first)] = first + (takes ?? Infinity)
  }
  return times
}
