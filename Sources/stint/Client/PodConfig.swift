// Owns: what a program in a pod finds of its cluster: the variables and the mounted service account, as client
// libraries read them. It must not know how connections are made.

import ClusterIO
import ClusterProto

/// The in-cluster configuration.
struct PodConfig: Equatable {
  static let usualFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

  private let host: String
  private let port: UInt16
  private let folder: String
  private static let limit = 1 << 20

  /// Of the environment; nil: this is no pod, or none with an account's token.
  init?(_ environment: [String: String], folder: String = PodConfig.usualFolder) {
    guard let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty, Files.exists("\(folder)/token") else {
      return nil
    }
    self.host = host
    // A pod of an earlier version has no such variable.
    port = environment["STINT_SERVICE_PORT"].flatMap { UInt16($0) } ?? Endpoint.nativePort
    self.folder = folder
  }

  /// What a kubeconfig would say.
  func context() throws(CommandError) -> KubeconfigContext {
    var result = KubeconfigContext(name: "in-cluster", file: folder, clusterName: "in-cluster")
    result.userName = "the pod's service account"
    result.native = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    result.token = try text("token")
    result.authority = try read("ca.crt")
    if let namespace = try? text("namespace"), !namespace.isEmpty { result.namespace = namespace }
    return result
  }

  private func text(_ name: String) throws(CommandError) -> String {
    String(decoding: try read(name), as: UTF8.self).split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
  }

  private func read(_ name: String) throws(CommandError) -> [UInt8] {
    do throws(IOError) {
      return try Files.read("\(folder)/\(name)", limit: Self.limit)
    } catch {
      throw CommandError("error: the service account of this pod cannot be used: \(folder)/\(name): \(error.message)")
    }
  }
}
