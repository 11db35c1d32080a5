import { median, type Report, type Section } from '../kernel/frame.ts';
import { type Contender, compiled, nothing, rulePerPolicy } from './contenders.ts';

const COUNTS = [0, 1, 10, 100, 1_000, 10_000];
const PORT = 9000;
const PACKETS = 40_000;
/** A rule each takes so long with many that fewer packets have to do. */
const FEW_PACKETS = 2_000;
const ROUNDS = 7;

/** Time for each packet with so many policies on the pod, beside a rule for each policy, and beside nothing. */
export const packets: Section = {
  name: 'packets',
  async run(report: Report): Promise<void> {
    const contenders: Contender[] = [];
    try {
      contenders.push(await nothing('sink', PORT));
      for (const count of COUNTS) {
        contenders.push(await compiled(count, 'sink', 'UDP', PORT));
        if (count > 0) contenders.push(await rulePerPolicy(count, 'sink', 'UDP', PORT));
      }
      const taken = new Map(contenders.map((one) => [one, { same: [] as number[], new: [] as number[] }]));
      for (let round = 0; round < ROUNDS; round++) {
        for (let turn = 0; turn < contenders.length; turn++) {
          const one = contenders[(round + turn) % contenders.length]!;
          for (const mode of ['same', 'new'] as const) {
            taken
              .get(one)!
              [mode].push(
                await one.lane.send(
                  PORT,
                  one.name === 'rules' && one.policies >= 1_000 ? FEW_PACKETS : PACKETS,
                  mode,
                ),
              );
          }
        }
      }
      print(report, contenders, (one, mode) => median(taken.get(one)![mode]));
    } finally {
      for (const { close, lane } of contenders) {
        close();
        lane[Symbol.dispose]();
      }
    }
  },
};

function print(
  report: Report,
  contenders: Contender[],
  figure: (one: Contender, mode: 'same' | 'new') => number,
): void {
  report.heading('Time for each packet, µs: of an established connection, and of one that begins');
  const of = (name: string, policies: number) =>
    contenders.find((one) => one.name === name && one.policies === policies);
  const us = (one: Contender | undefined, mode: 'same' | 'new'): string =>
    one ? (figure(one, mode) / 1000).toFixed(2) : '';
  const empty = of('nothing', 0)!;
  const none = of('margay', 0)!;
  const single = of('margay', 1)!;
  const rows = COUNTS.map((count) => {
    const ours = of('margay', count)!;
    const rules = of('rules', count);
    const established = us(ours, 'same');
    if (count > 0) {
      report.bar(
        `established, ${count} policies, against none`,
        figure(ours, 'same') / figure(none, 'same'),
        { atMost: 1.1 },
      );
    }
    if (count > 1) {
      report.bar(`new, ${count} policies, against one`, figure(ours, 'new') / figure(single, 'new'), {
        atMost: 1.1,
      });
    }
    return [String(count), established, us(ours, 'new'), us(rules, 'same'), us(rules, 'new')];
  });
  report.table(['policies on the pod', 'established', 'new', 'rule each: established', 'new'], rows);
  report.note(`  no ruleset at all: ${us(empty, 'same')}, ${us(empty, 'new')} (nothing is tracked)`);
}
