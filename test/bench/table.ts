export interface Row {
  readonly what: string;
  readonly values: readonly number[];
  readonly unit: string;
  /** Decimals; 1 by default. */
  readonly digits?: number;
}

/** The middle one; the mean of both middle ones of an even number. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

/** Of sorted values: that which a share of them, from 0 to 1, does not exceed. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Median, least, most and number of runs of each row. */
export function formatRows(title: string, rows: readonly Row[]): string {
  const head = ['', 'median', 'least', 'most', 'unit', 'runs'];
  const body = rows.map(({ what, values, unit, digits = 1 }) => {
    const numbers = [median(values), Math.min(...values), Math.max(...values)].map((value) => value.toFixed(digits));
    return [what, ...numbers, unit, String(values.length)];
  });
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((line) => (line[column] ?? '').length)));
  const lines = [head, ...body].map((line) =>
    line
      .map((cell, column) =>
        column === 0 || column === 4 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  return [`\n${title}`, ...lines, ''].join('\n');
}
