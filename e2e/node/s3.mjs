// An S3-compatible store on this machine, in the directory of the first argument. Says where it is,
// and ends with its standard input. It checks that requests are signed and by whom, and when; it does
// not make signatures of version 4 again.
import S3rver from 's3rver';

const server = new S3rver({
  address: '127.0.0.1',
  port: Number(process.argv[3] ?? 0),
  silent: true,
  directory: process.argv[2],
  configureBuckets: [{ name: 'audit' }],
});
const { port } = await server.run();
console.log(JSON.stringify({ endpoint: `http://127.0.0.1:${port}` }));
process.stdin.on('end', () => process.exit(0)).resume();
