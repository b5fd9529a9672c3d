import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { bitString, boolean, explicit, integer, oid, octets, sequence, set, tagged, utcTime, utf8 } from './der.js';

/** A certificate and its private key, as PEM. */
export interface IssuedCertificate {
  readonly certificate: string;
  readonly key: string;
}

const ECDSA_WITH_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const COMMON_NAME = oid('2.5.4.3');
const KEY_USAGE = oid('2.5.29.15');
const SUBJECT_ALT_NAME = oid('2.5.29.17');
const BASIC_CONSTRAINTS = oid('2.5.29.19');

/** Of `KEY_USAGE`: signs certificates and revocation lists. One bit of the byte is unused. */
const SIGNS_CERTIFICATES = Buffer.from([0x03, 0x02, 0x01, 0x06]);
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;
const DAY_MS = 86_400_000;

/**
 * A certificate authority of one test. Its certificates are for `localhost`, `127.0.0.1` and `::1`, and are valid for a
 * year. Made by Node's own crypto: no `openssl` program and no package is needed.
 *
 * @example
 * const authority = new CertificateAuthority();
 * const redis = await startRedis({ tls: authority });
 * const client = new Redis(redis.url, { tls: { ca: authority.certificate } });
 */
export class CertificateAuthority {
  /** The certificate to trust, as PEM. */
  readonly certificate: string;
  readonly #key: KeyObject;
  readonly #name = commonName(`Sluice test authority ${randomBytes(4).toString('hex')}`);

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    this.certificate = this.#sign(this.#name, publicKey, [
      extension(BASIC_CONSTRAINTS, sequence(boolean(true)), true),
      extension(KEY_USAGE, SIGNS_CERTIFICATES, true),
    ]);
  }

  /** Issues a certificate for a server on this machine. */
  issue(): IssuedCertificate {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const names = sequence(
      tagged(DNS_NAME, Buffer.from('localhost')),
      tagged(IP_ADDRESS, Buffer.from([127, 0, 0, 1])),
      tagged(IP_ADDRESS, Buffer.concat([Buffer.alloc(15), Buffer.from([1])])),
    );
    return {
      certificate: this.#sign(commonName('localhost'), publicKey, [extension(SUBJECT_ALT_NAME, names, false)]),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    };
  }

  #sign(subject: Buffer, publicKey: KeyObject, extensions: Buffer[]): string {
    const body = sequence(
      explicit(0, integer(Buffer.from([2]))),
      integer(randomBytes(16)),
      ECDSA_WITH_SHA256,
      this.#name,
      sequence(utcTime(Date.now() - DAY_MS), utcTime(Date.now() + 365 * DAY_MS)),
      subject,
      publicKey.export({ type: 'spki', format: 'der' }),
      explicit(3, sequence(...extensions)),
    );
    const signed = sequence(body, ECDSA_WITH_SHA256, bitString(sign('sha256', body, this.#key)));
    const lines = signed.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
    return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
  }
}

function commonName(name: string): Buffer {
  return sequence(set(sequence(COMMON_NAME, utf8(name))));
}

function extension(id: Buffer, value: Buffer, critical: boolean): Buffer {
  return sequence(id, ...(critical ? [boolean(true)] : []), octets(value));
}
