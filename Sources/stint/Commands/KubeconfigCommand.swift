// Owns: `kubeconfig`: the address that a coordinator recorded and its certificates, as kubectl reads them.
// It must not know how the certificates came to be.

import ClusterIO
import ClusterProto
import Coordinator

/// `stint kubeconfig`.
enum KubeconfigCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let data = ServeCommand.absolute(
      context.arguments.value("data") ?? Endpoint.dataDirectory(context.environment))
    context.console.out(try text(data: data))
    return 0
  }

  /// The kubeconfig of the coordinator whose data directory is `data`, or that `stint up` keeps in `data`.
  static func text(data: String) throws -> String {
    let own = Files.exists("\(data)/coordinator.json") ? data : "\(data)/coordinator"
    do {
      let facts = try JSON(parsing: try Files.read("\(own)/coordinator.json", limit: 64 * 1024))
      guard let server = facts["api"]?.stringValue else {
        throw CommandError("error: the coordinator of \(own) does not serve the Kubernetes API")
      }
      return try PKI.kubeconfig(directory: own, server: server)
    } catch let error as IOError {
      throw CommandError("error: \(error): is \(data) the data directory of a coordinator that was started?")
    } catch let error as JSONError {
      throw CommandError("error: \(own)/coordinator.json is damaged (\(error)); restart the coordinator")
    }
  }
}
