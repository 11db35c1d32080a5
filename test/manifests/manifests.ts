/**
 * The manifests as they are in the folder.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export const MANIFESTS = join(import.meta.dirname, '../../k8s-manifests');

// biome-ignore lint/suspicious/noExplicitAny: objects of many kinds
export type Manifest = any;

/** Every YAML file, by its path in the folder. */
export function yamlFiles(): string[] {
  return readdirSync(MANIFESTS, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.yaml'),
  );
}

/** The documents of a file. @throws for a mistake in the YAML */
export function readManifests(file: string): Manifest[] {
  const text = readFileSync(join(MANIFESTS, file), 'utf8');
  return parseAllDocuments(text).map((document) => {
    const [mistake] = [...document.errors, ...document.warnings];
    if (mistake !== undefined) throw new Error(`${file}: ${mistake.message}`);
    return document.toJS();
  });
}

/** The rules of the one ClusterRole. */
export function clusterRules(): Manifest[] {
  return readManifests('base/account.yaml').find(({ kind }) => kind === 'ClusterRole').rules;
}
