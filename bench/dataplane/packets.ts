import type { Report, Section } from '../kernel/frame.ts';
import { type Mode, timePackets } from '../path/rounds.ts';
import type { Turns } from '../path/turns.ts';
import { type Contender, compiled, nothing, rulePerPolicy, tracked } from './contenders.ts';
import { CLIENT, SERVER } from './lane.ts';

const COUNTS = [0, 1, 10, 100, 1_000, 10_000];
const PORT = 9000;
const ROUNDS = 300;
/** Between them connections are forgotten. */
const PARTS = 6;
const BURST = 400;
const LEAST = 64;
/** Of packets by rules in a burst: it should take as long as the others do. */
const RULES = 40_000;

/** Time for each packet with so many policies on the pod, beside a rule for each policy, and beside nothing. */
export const packets: Section = {
  name: 'packets',
  async run(report: Report): Promise<void> {
    const contenders: Contender[] = [];
    try {
      contenders.push(nothing(), tracked());
      for (const count of COUNTS) {
        contenders.push(await compiled(count, 'UDP', PORT));
        if (count > 0) contenders.push(rulePerPolicy(count, 'UDP', PORT));
      }
      const ways = contenders.map(({ lane }) => lane);
      const time = (mode: Mode): Promise<Turns> =>
        timePackets(mode, ways, {
          source: CLIENT,
          destination: SERVER,
          port: PORT,
          rounds: ROUNDS,
          parts: PARTS,
          before: () => {
            for (const lane of ways) lane.forget();
          },
          count: (i) => {
            const { name, policies } = contenders[i]!;
            const rules = mode === 'new' && name === 'rules' ? policies : 0;
            return Math.min(BURST, Math.max(LEAST, Math.floor(RULES / rules)));
          },
        });
      print(report, contenders, await time('same'), await time('new'));
    } finally {
      for (const { close, lane } of contenders) {
        close();
        lane[Symbol.dispose]();
      }
    }
  },
};

function print(report: Report, contenders: readonly Contender[], same: Turns, first: Turns): void {
  report.heading('Time for each packet, µs: of an established connection, and of one that begins');
  const of = (name: string, policies: number) =>
    contenders.findIndex((one) => one.name === name && one.policies === policies);
  const us = (turns: Turns, i: number): string => (i < 0 ? '' : (turns.median(i) / 1000).toFixed(2));
  const none = of('margay', 0);
  const single = of('margay', 1);
  const rows = COUNTS.map((count) => {
    const ours = of('margay', count);
    const rules = of('rules', count);
    return [
      String(count),
      us(same, ours),
      count === 0
        ? ''
        : report.bar(`established, ${count} policies, against none`, same.ratio(ours, none), { atMost: 1.1 }),
      us(first, ours),
      count <= 1
        ? ''
        : report.bar(`new, ${count} policies, against one`, first.ratio(ours, single), { atMost: 1.1 }),
      us(same, rules),
      us(first, rules),
    ];
  });
  const header = ['policies', 'established', 'to none', 'new', 'to one', 'rule each: established', 'new'];
  report.table(header, rows);
  for (const [name, what] of [
    ['nothing', 'no ruleset, nothing tracked'],
    ['tracked', 'no ruleset, connections tracked'],
  ] as const)
    report.note(`  ${what}: ${us(same, of(name, 0))}, ${us(first, of(name, 0))}`);
}
