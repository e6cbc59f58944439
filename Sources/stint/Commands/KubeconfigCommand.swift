// Owns: `kubeconfig`: the address that a coordinator recorded and its certificates, as kubectl reads them.
// It must not know how the certificates came to be.

import ClusterIO
import ClusterProto
import Coordinator

/// `stint kubeconfig`.
enum KubeconfigCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let place = try SecretOutput(context)
    let data = ServeCommand.absolute(
      context.arguments.value("data") ?? Endpoint.dataDirectory(context.environment))
    try place.write(try text(data: data))
    return 0
  }

  /// The kubeconfig of the coordinator whose data directory is `data`, or that `stint up` keeps in `data`.
  static func text(data: String) throws -> String {
    let own = Files.exists("\(data)/coordinator.json") ? data : "\(data)/coordinator"
    do throws(IOError) {
      return try DataDirectory(path: own).kubeconfig()
    } catch {
      throw CommandError("error: \(error)")
    }
  }
}
