/** Time, CPU and the most memory since it was made. */
export class Meter {
  readonly #start = performance.now();
  readonly #cpu = process.cpuUsage();
  #peak = 0;
  readonly #timer = setInterval(() => this.#look(), 20);

  read(): string {
    clearInterval(this.#timer);
    this.#look();
    const { user, system } = process.cpuUsage(this.#cpu);
    const seconds = (performance.now() - this.#start) / 1_000;
    return `${seconds.toFixed(1)} s (CPU ${((user + system) / 1e6).toFixed(1)} s), at most ${megabytes(this.#peak)} MB`;
  }

  #look(): void {
    this.#peak = Math.max(this.#peak, process.memoryUsage().rss);
  }
}

export function megabytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
