// What the head of every page says, as words with links.

/** `state`: {workers (devices, or null), running, queued, look: [{id, name}]}. */
export function headWords({ workers, running, queued, look }) {
  const words = []
  if (workers === null) words.push({ text: "workers not known", href: "system" })
  else words.push({ text: workersInWords(workers), href: "system" })
  words.push({ text: `${running} running`, href: "runs?status=running" })
  if (queued) words.push({ text: `${queued} queued`, href: "runs?status=queued" })
  if (look.length) {
    const one = look.length === 1
    words.push({
      text: one ? "1 needs a look" : `${look.length} need a look`,
      href: one && look[0].id ? `run?id=${look[0].id}` : "runs?look=yes",
      title: look
        .map((run) => run.name)
        .filter(Boolean)
        .join(", "),
      isLook: true,
    })
  }
  return words
}

/** "1 worker on cuda:0", "3 workers on cpu, cuda:0"; "no worker" where none is alive. */
export function workersInWords(workers) {
  if (!workers.length) return "no worker"
  const devices = [...new Set(workers)].filter(Boolean).join(", ")
  const number = workers.length === 1 ? "1 worker" : `${workers.length} workers`
  return devices ? `${number} on ${devices}` : number
}
