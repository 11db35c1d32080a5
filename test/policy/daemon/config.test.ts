import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigFileError } from '#daemon/config-file.ts';
import { ConfigError } from '#daemon/problem.ts';
import { type Flags, readConfig, resolveConfig } from '#policy/daemon/config.ts';

const DOCS = join(import.meta.dirname, '../../../docs');

/** What is wrong, a line each. */
function wrong(source: string, flags: Flags = { config: 'engine.yaml' }): string[] {
  try {
    resolveConfig(source, flags);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  return [];
}

describe('settings', () => {
  test('of the example are what it says', () => {
    const config = readConfig({ config: join(DOCS, 'examples/policy-engine.yaml') });
    expect(config).toEqual({
      datastore: { directory: '/etc/margay/objects' },
      api: { socket: '/run/margay/policy.sock' },
      listen: {
        address: '0.0.0.0:5480',
        tls: {
          ca: '/etc/margay/tls/nodes-ca.crt',
          certificate: '/etc/margay/tls/policy.crt',
          key: '/etc/margay/tls/policy.key',
        },
      },
      log: { level: 'info' },
    });
  });

  test('have defaults, but for the directory', () => {
    expect(resolveConfig('', { datastore: '/objects' })).toEqual({
      datastore: { directory: '/objects' },
      api: { socket: '/run/margay/policy.sock' },
      listen: undefined,
      log: { level: 'info' },
    });
    expect(wrong('')).toEqual([
      'engine.yaml: datastore: found nothing, expected directory: DIR or kubernetes: {} here, or --datastore or --kubeconfig',
    ]);
  });

  test('lead to a directory or to the Kubernetes API', () => {
    const datastore = (source: string, flags: Flags = {}) => resolveConfig(source, flags).datastore;
    const account = { kubernetes: { kubeconfig: undefined } };
    expect(datastore('datastore: { kubernetes: {} }')).toEqual(account);
    expect(datastore('datastore:\n  kubernetes:\n')).toEqual(account);
    const file = 'datastore: { kubernetes: { kubeconfig: /k } }';
    expect(datastore(file)).toEqual({ kubernetes: { kubeconfig: '/k' } });
    // What is said on the command line takes the place of all that the file says.
    expect(datastore(file, { datastore: '/d' })).toEqual({ directory: '/d' });
    expect(datastore('datastore: { directory: /d }', { kubeconfig: '/k' })).toEqual({
      kubernetes: { kubeconfig: '/k' },
    });
    expect(wrong('datastore: { directory: /d, kubernetes: {} }')).toEqual([
      'engine.yaml:1:12: datastore: found both, expected directory or kubernetes, not both',
    ]);
    expect(wrong('', { datastore: '/d', kubeconfig: '/k' })).toEqual([
      'command line: found both, expected --datastore or --kubeconfig, not both',
    ]);
    expect(wrong('datastore: {}')).toEqual([
      'engine.yaml:1:12: datastore: found neither, expected directory: DIR or kubernetes: {} here, or --datastore or --kubeconfig',
    ]);
    expect(wrong('datastore: { kubernetes: { kubeconfig: 7 } }')).toEqual([
      'engine.yaml:1:40: datastore.kubernetes.kubeconfig: found 7, expected the path of a file',
    ]);
  });

  test('of the command line go before those of the file', () => {
    const source =
      'datastore: {directory: /a}\nlog: {level: warn}\nlisten: {address: "h:1", tls: {ca: a, certificate: b, key: c}}';
    const flags = {
      config: 'x',
      datastore: '/b',
      listen: '[::1]:0',
      tlsKey: 'd',
      logLevel: 'debug',
      socket: '/s',
    };
    expect(resolveConfig(source, flags)).toEqual({
      datastore: { directory: '/b' },
      api: { socket: '/s' },
      listen: { address: '[::1]:0', tls: { ca: 'a', certificate: 'b', key: 'd' } },
      log: { level: 'debug' },
    });
  });

  test('that are wrong are all told, each with its place, what was found and what was expected', () => {
    const source = [
      'datastore: {directory: 7, directorys: /x}',
      'api: {socket: ""}',
      'listen:',
      '  address: everywhere',
      '  tls: {ca: []}',
      'log: {level: loud}',
      'lisen: {}',
    ].join('\n');
    expect(wrong(source)).toEqual([
      'engine.yaml:1:24: datastore.directory: found 7, expected the path of a file',
      'engine.yaml:1:27: datastore.directorys: found an unknown field, expected one of directory, kubernetes (did you mean directory?)',
      'engine.yaml:2:15: api.socket: found "", expected the path of a socket, of up to 107 bytes',
      'engine.yaml:4:12: listen.address: found "everywhere", expected HOST:PORT, such as 10.0.0.1:5480 or [fd00::1]:5480',
      'engine.yaml:5:13: listen.tls.ca: found an empty list, expected the path of a file',
      'engine.yaml:6:14: log.level: found "loud", expected error, warn, info or debug',
      'engine.yaml:7:1: lisen: found an unknown field, expected one of datastore, api, listen, log (did you mean listen?)',
    ]);
    expect(wrong('', { datastore: '/x', listen: 'no', logLevel: 'loud' })).toEqual([
      'command line: found --listen "no", expected HOST:PORT, such as 10.0.0.1:5480 or [fd00::1]:5480',
      ...['ca', 'cert', 'key'].map((file) =>
        expect.stringMatching(`here or by --tls-${file}: TCP is only with mutual TLS`),
      ),
      'command line: found --log-level "loud", expected error, warn, info or debug',
    ]);
    expect(wrong('a: [')).toEqual([expect.stringMatching(/found a mistake in the YAML/)]);
    expect(wrong('- a')[0]).toMatch(/found a list of 1, expected a mapping/);
  });

  test.each(['h', 'h:', ':1', 'h:99999', '::1:1', '[::1]', '[h]:1', 'a b:1', 'h:-1'])(
    'no address: %s',
    (listen) => {
      expect(wrong('', { datastore: '/x', listen })[0]).toContain('expected HOST:PORT');
    },
  );

  test.each([
    ['listen: {address: "h:1"}', ['ca', 'certificate', 'key']],
    ['listen: {address: "h:1", tls: {}}', ['ca', 'certificate', 'key']],
    ['listen: {address: "h:1", tls: {ca: a, certificate: b}}', ['key']],
    ['listen: {tls: {ca: a, certificate: b, key: c}}', ['address']],
    ['listen: {}', ['address', 'ca', 'certificate', 'key']],
  ])('TCP is with certificates or not at all: %s', (listen, missing) => {
    const problems = wrong(`datastore: {directory: /x}\n${listen}`);
    expect(problems.map((line) => /listen\.(?:tls\.)?(\w+): found nothing/.exec(line)?.[1])).toEqual(missing);
  });

  test('from a file that can not be read: that is said', () => {
    expect(() => readConfig({ config: '/nonexistent/engine.yaml' })).toThrow(ConfigFileError);
  });
});
