import { BinaryReader } from '@bufbuild/protobuf/wire';
import { ReflectionService } from '@grpc/reflection';
import type { Server } from '@grpc/grpc-js';

/** Lets tools such as grpcurl list the services. `descriptors` is a FileDescriptorSet. */
export function addReflection(server: Server, descriptors: Uint8Array): void {
  // The service reads nothing but the files out of the package definition.
  const files = { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos: filesOf(descriptors) };
  new ReflectionService({ files } as unknown as ConstructorParameters<typeof ReflectionService>[0]).addToServer(server);
}

/** FileDescriptorSet has one field: 1, repeated, a file. */
function filesOf(descriptors: Uint8Array): Buffer[] {
  const reader = new BinaryReader(descriptors);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) files.push(Buffer.from(reader.bytes()));
    else reader.skip(wireType);
  }
  return files;
}
