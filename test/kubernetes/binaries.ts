/** Where the real API server and etcd lie once they have been built: `npm run setup:kubernetes`. */

import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export const TOOLS = join(import.meta.dirname, 'tools');

/** Programs by name, and the packages of [tools/go.mod](tools/go.mod) that they are built from. */
export const PROGRAMS = {
  etcd: 'go.etcd.io/etcd/server/v3',
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
} as const;

export type Program = keyof typeof PROGRAMS;

/** Such as `v1.36.3`: the one that go.mod asks for. */
export const KUBERNETES_VERSION = /\sk8s\.io\/kubernetes (v\S+)/.exec(
  readFileSync(join(TOOLS, 'go.mod'), 'utf8'),
)![1]!;

/** A folder for each version, which all clones share. */
export function cacheFolder(): string {
  const cache = process.env.MARGAY_CACHE ?? join(homedir(), '.cache', 'margay');
  return join(cache, `kubernetes-${KUBERNETES_VERSION}`);
}

export function programPath(program: Program): string {
  return join(cacheFolder(), program);
}

/** Why a program can not be run here; `undefined` if it can. */
export function whyMissing(program: Program): string | undefined {
  if (existsSync(programPath(program))) return undefined;
  return `no ${program} ${KUBERNETES_VERSION} here (npm run setup:kubernetes builds it)`;
}
