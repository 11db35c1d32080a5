import type { Command } from 'commander';
import { connect, type RpcClient } from '#proto/client.ts';
import { policyService } from '#proto/policy.ts';

/** Calls the engine that `--socket` of `margay policy` names. */
export async function withEngine(
  policy: Command,
  work: (engine: RpcClient<typeof policyService>) => Promise<void>,
): Promise<void> {
  const engine = connect(policyService, `unix:${policy.opts<{ socket: string }>().socket}`);
  try {
    await work(engine);
  } finally {
    engine.close();
  }
}
