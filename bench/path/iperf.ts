import type { Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';
import type { Way } from './rounds.ts';

/** Ahead of what else the machine does, the client on one processor and the server on another. */
const FIRST = ['-f', '10', 'taskset', '-c'];
const CLIENT_PROCESSOR = '0';
const SERVER_PROCESSOR = '1';

/** Starts a server, which ends with its namespace. */
export async function listen(server: Netns): Promise<void> {
  const child = server.spawn('chrt', [...FIRST, SERVER_PROCESSOR, 'iperf3', '-s', '--forceflush'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout!.on('data', (text) => {
    said += text;
  });
  await waitFor(() => said.includes('listening'), { what: 'iperf3' });
}

/** Gbit/s of one TCP connection, over a second. */
export async function gigabits(way: Way, address: string): Promise<number> {
  const { sum_received } = await iperf(way, address);
  return sum_received.bits_per_second / 1e9;
}

/** Thousands of UDP datagrams a second that arrive, over a second, of as many as the client can send. */
export async function thousandDatagrams(way: Way, address: string, size: number): Promise<number> {
  const { sum } = await iperf(way, address, '-u', '-b', '0', '-l', String(size));
  return (sum.packets - sum.lost_packets) / sum.seconds / 1000;
}

async function iperf({ client }: Way, address: string, ...args: readonly string[]) {
  const command = [...FIRST, CLIENT_PROCESSOR, 'iperf3', '-J', '-c', address, '-t', '1', ...args];
  return JSON.parse(await client.execAsync('chrt', command)).end;
}
