/**
 * For specs with `SLUICE_TEST_TOPOLOGY=acl`: the sockets that Sluice opens log in as the user of the fixture, unless the spec
 * gives them one. A socket of Sluice has a name that begins with `sluice:`.
 */
import { Redis } from 'ioredis';

const [username, password] = ['restricted', 'restricted'];

if (process.env.SLUICE_TEST_TOPOLOGY === 'acl') {
  const { connect } = Redis.prototype;
  Redis.prototype.connect = function (callback) {
    const { options } = this;
    const isOurs = options.connectionName?.startsWith('sluice:') === true;
    if (isOurs && !options.username && !options.password && !options.sentinels)
      Object.assign(options, { username, password });
    return connect.call(this, callback);
  };
}
