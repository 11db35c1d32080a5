import type { Command } from 'commander';
import { connect, type RpcClient } from '#proto/client.ts';
import { RpcError } from '#proto/error.ts';
import { policyService } from '#proto/policy.ts';
import { CliError, EXIT, remedyOf } from '../program.ts';

/** Calls the engine that `--socket` of `margay policy` names. */
export async function withEngine(
  policy: Command,
  work: (engine: RpcClient<typeof policyService>) => Promise<void>,
): Promise<void> {
  const { socket } = policy.opts<{ socket: string }>();
  const engine = connect(policyService, `unix:${socket}`);
  try {
    await work(engine);
  } catch (error) {
    if (!(error instanceof RpcError) || error.code !== 'UNAVAILABLE') throw error;
    throw new CliError(
      /ENOENT|ECONNREFUSED/.test(error.message)
        ? `the policy engine does not answer on ${socket}: start one with margay policy --datastore DIR, or name its socket with --socket`
        : `the policy engine does not answer: ${error.message}${remedyOf(error)}`,
      EXIT.unreachable,
      { cause: error },
    );
  } finally {
    engine.close();
  }
}
