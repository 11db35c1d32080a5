/**
 * The nodes of `stream.ts`: so many readers in one process, each on a connection of its own. Tells its parent when all
 * commits that it was told to expect have come, and when the last of them did.
 */

import { connect } from '#proto/client.ts';
import { policyService } from '#proto/policy.ts';

const [socket, ...nodes] = process.argv.slice(2) as [string, ...string[]];

export type Request = { readonly expect: number };
/** `at`: nanoseconds of the monotonic clock, which is the same for all processes. */
export type Reply = { readonly at: bigint; readonly bytes: number };

let commits = 0;
let bytes = 0;
let last = 0n;
let expected: number | undefined;

process.on('message', ({ expect }: Request) => {
  expected = expect;
  answer();
});
process.on('disconnect', () => process.exit());

await Promise.all(
  nodes.map(async (node) => {
    // A channel of its own, as if from a process of its own.
    const client = connect(policyService, `unix:${socket}`);
    for await (const { commit, members } of client.watch({ node })) {
      for (const { ipv4, ipv6 } of members) bytes += (ipv4?.length ?? 0) + (ipv6?.length ?? 0);
      if (!commit) continue;
      commits++;
      last = process.hrtime.bigint();
      answer();
    }
  }),
);

function answer(): void {
  if (expected === undefined || commits < expected) return;
  if (commits > expected) throw new Error(`found ${commits} commits, expected ${expected}`);
  expected = undefined;
  process.send!({ at: last, bytes } satisfies Reply);
}
