import { waitFor } from '#test/helpers/wait.ts';
import { median, type Report, type Section } from '../kernel/frame.ts';
import { type Contender, compiled, nothing, rulePerPolicy } from './contenders.ts';
import { BLAST, SERVER } from './lane.ts';

const STORM = 9001;
const IPERF = 5201;
const ROUNDS = 5;

/** TCP connections a second, one after the other, and what one carries. */
export const throughput: Section = {
  name: 'throughput',
  async run(report: Report): Promise<void> {
    const contenders: [string, Contender][] = [
      ['no ruleset, nothing tracked', await nothing('accept', STORM)],
      ['no policy', await compiled(0, 'accept', 'TCP', STORM, IPERF)],
      ['1,000 policies', await compiled(1000, 'accept', 'TCP', STORM, IPERF)],
      ['a rule for each of 1,000', await rulePerPolicy(1000, 'accept', 'TCP', STORM, IPERF)],
    ];
    try {
      for (const [, { lane }] of contenders) {
        const server = lane.server.spawn('iperf3', ['-s', '-B', SERVER, '--forceflush'], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        let said = '';
        server.stdout!.on('data', (text) => {
          said += text;
        });
        await waitFor(() => said.includes('listening'), { what: 'iperf3' });
      }
      const taken = new Map(
        contenders.map(([name]) => [name, { connections: [] as number[], bits: [] as number[] }]),
      );
      for (let round = 0; round < ROUNDS; round++) {
        for (let turn = 0; turn < contenders.length; turn++) {
          const [name, { lane }] = contenders[(round + turn) % contenders.length]!;
          const figures = taken.get(name)!;
          figures.connections.push(
            Number(await lane.client.execAsync(BLAST, ['storm', SERVER, String(STORM), '1'])),
          );
          const said = JSON.parse(await lane.client.execAsync('iperf3', ['-c', SERVER, '-t', '1', '-J']));
          figures.bits.push(said.end.sum_received.bits_per_second);
        }
      }
      print(report, taken);
    } finally {
      for (const [, { close, lane }] of contenders) {
        close();
        lane[Symbol.dispose]();
      }
    }
  },
};

function print(report: Report, taken: ReadonlyMap<string, { connections: number[]; bits: number[] }>): void {
  report.heading('TCP connections a second, one after the other, and what one carries (iperf3)');
  const of = (name: string) => taken.get(name)!;
  const ratio = (what: 'connections' | 'bits'): number =>
    median(of('1,000 policies')[what]) / median(of('no policy')[what]);
  report.bar('connections with 1,000 policies against none', ratio('connections'), { atLeast: 0.9 });
  report.bar('throughput with 1,000 policies against none', ratio('bits'), { atLeast: 0.9 });
  report.table(
    ['', 'connections/s', 'Gbit/s'],
    [...taken].map(([name, { connections, bits }]) => [
      name,
      median(connections).toFixed(0),
      (median(bits) / 1e9).toFixed(1),
    ]),
  );
}
