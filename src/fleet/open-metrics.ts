// OpenMetrics text, as far as gauges and counters without exemplars go.

export interface Metric {
  /** Without the `_total` that a counter's samples end with. */
  readonly name: string
  readonly help: string
  readonly type: 'gauge' | 'counter'
  readonly samples: readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[]
}

export function openMetrics(metrics: readonly Metric[]): string {
  const lines = metrics.flatMap(({ name, help, type, samples }) => [
    `# TYPE ${name} ${type}`,
    `# HELP ${name} ${escape(help)}`,
    ...samples.map(
      ({ labels = {}, value }) => `${name}${type === 'counter' ? '_total' : ''}${labelText(labels)} ${value}`,
    ),
  ])
  return [...lines, '# EOF', ''].join('\n')
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
