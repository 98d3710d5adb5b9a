// Samples of models that know classes, by class: sets that hold all classes in turn. No browser.

/** The names of the classes of a set, the class of place i being i modulo their number; null where
 * its samples are not of all classes in turn. */
export function classesOf(set) {
  const { num_labels: num = 0, label_names: names, settings, config } = set ?? {}
  if ((settings?.label ?? config?.label) !== "each" || num < 2) return null
  return Array.from({ length: num }, (_, label) => names?.[label] ?? `${label}`)
}

/** Places of samples, those of the first class first, as many of each: {order, each}. */
export function orderOf(numSamples, numClasses, most) {
  const each = Math.min(most, Math.floor(numSamples / numClasses))
  const rows = Array.from({ length: numClasses }, (_, label) =>
    Array.from({ length: each }, (__, turn) => turn * numClasses + label),
  )
  return { order: rows.flat(), each }
}
