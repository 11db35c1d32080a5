import type { Report, Section } from '../kernel/frame.ts';
import { gigabits, listen } from '../path/iperf.ts';
import { timePackets } from '../path/rounds.ts';
import { inTurns, type Turns } from '../path/turns.ts';
import { type Contender, compiled, nothing, rulePerPolicy, tracked } from './contenders.ts';
import { CLIENT, SERVER } from './lane.ts';

const PORT = 9001;
const IPERF = 5201;
const ROUNDS = 300;
const PARTS = 6;
const BURST = 50;
const IPERF_ROUNDS = 11;

/** TCP connections a second, one after the other, and what one carries. */
export const throughput: Section = {
  name: 'throughput',
  async run(report: Report): Promise<void> {
    const contenders: [string, Contender][] = [];
    try {
      contenders.push(['no ruleset, nothing tracked', nothing()]);
      contenders.push(['no ruleset, connections tracked', tracked()]);
      contenders.push(['no policy', await compiled(0, 'TCP', PORT, IPERF)]);
      contenders.push(['1,000 policies', await compiled(1000, 'TCP', PORT, IPERF)]);
      contenders.push(['a rule for each of 1,000', rulePerPolicy(1000, 'TCP', PORT, IPERF)]);
      const lanes = contenders.map(([, { lane }]) => lane);
      const connections = await timePackets('connect', lanes, {
        source: CLIENT,
        destination: SERVER,
        port: PORT,
        rounds: ROUNDS,
        parts: PARTS,
        before: () => {
          for (const lane of lanes) lane.forget();
        },
        count: () => BURST,
      });
      for (const { server } of lanes) await listen(server);
      const bits = await inTurns(lanes, IPERF_ROUNDS, (lane) => gigabits(lane, SERVER));
      const names = contenders.map(([name]) => name);
      print(report, names, connections, bits);
    } finally {
      for (const [, { close, lane }] of contenders) {
        close();
        lane[Symbol.dispose]();
      }
    }
  },
};

/** @param connections ns for each @param bits Gbit/s */
function print(report: Report, names: readonly string[], connections: Turns, bits: Turns): void {
  report.heading('TCP connections a second, one after the other, and what one carries (iperf3)');
  const none = names.indexOf('no policy');
  const many = names.indexOf('1,000 policies');
  report.bar('connections with 1,000 policies against none', connections.ratio(none, many), { atLeast: 0.9 });
  report.bar('throughput with 1,000 policies against none', bits.ratio(many, none), { atLeast: 0.9 });
  report.table(
    ['', 'connections/s', 'to none', 'Gbit/s', 'to none'],
    names.map((name, i) => [
      name,
      (1e9 / connections.median(i)).toFixed(0),
      connections.ratio(none, i).toFixed(2),
      bits.median(i).toFixed(1),
      bits.ratio(i, none).toFixed(2),
    ]),
  );
}
