// Owns: what the client needs of a kubeconfig: the current context's identity, authority and, in an extension of its
// cluster named `stint`, the native address. It must not know connections.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc

/// The current context of a kubeconfig.
struct Kubeconfig: Equatable {
  /// Address of the native protocol, `HOST:PORT`; nil: the file does not say.
  let native: String?
  /// Who the context's user is, and whom it believes.
  let identity: Identity

  /// Which file a command reads: `--kubeconfig`, the first of `KUBECONFIG` that is there, `~/.kube/config` if its
  /// current context is a cluster of ours, else the one of `stint up`.
  static func path(_ flag: String?, _ environment: [String: String]) -> String {
    if let flag { return flag }
    let named = (environment["KUBECONFIG"] ?? "").split(separator: ":").map(String.init)
    if let first = named.first(where: { Files.exists($0) }) ?? named.first { return first }
    if let home = environment["HOME"], home.hasPrefix("/") {
      let usual = "\(home)/.kube/config"
      if let found = try? Kubeconfig(path: usual), found.native != nil { return usual }
    }
    return "\(Endpoint.dataDirectory(environment))/coordinator/admin.kubeconfig"
  }

  /// Reads the file; what is wrong with it is told with its name.
  init(path: String) throws(CommandError) {
    let bytes: [UInt8]
    do throws(IOError) {
      bytes = try Files.read(path, limit: 1 << 20)
    } catch {
      throw CommandError(
        error.code == ENOENT
          ? "error: there is no kubeconfig \(path): start a cluster with `stint up`, or name the file with "
            + "--kubeconfig or KUBECONFIG"
          : "error: the kubeconfig \(path): \(error.message)")
    }
    func problem(_ what: String) -> CommandError { CommandError("error: the kubeconfig \(path): \(what)") }
    guard let file = try? YAML.documents(bytes).first, file.objectValue != nil else {
      throw problem("is not YAML, or holds nothing")
    }
    guard let current = file["current-context"]?.stringValue, !current.isEmpty else {
      throw problem("has no current-context")
    }
    func entry(_ list: String, _ name: String, _ member: String) throws(CommandError) -> JSON {
      let found = (file[list]?.arrayValue ?? []).first { $0["name"]?.stringValue == name }
      guard let value = found?[member], value.objectValue != nil else {
        throw problem("\(list) has no \(JSON.string(name).text)")
      }
      return value
    }
    let context = try entry("contexts", current, "context")
    let cluster = try entry("clusters", context["cluster"]?.stringValue ?? "", "cluster")
    let user = try entry("users", context["user"]?.stringValue ?? "", "user")
    let folder = Files.split(path).parent
    func content(_ object: JSON, _ member: String, of owner: String) throws(CommandError) -> [UInt8] {
      if let text = object["\(member)-data"]?.stringValue {
        guard let decoded = Base64.decode(text) else { throw problem("\(member)-data of \(owner) is not Base64") }
        return decoded
      }
      guard let file = object[member]?.stringValue, !file.isEmpty else {
        throw problem("\(owner) has no \(member)-data and no \(member)")
      }
      do throws(IOError) {
        return try Files.read(file.hasPrefix("/") ? file : "\(folder)/\(file)", limit: 1 << 20)
      } catch {
        throw problem("\(member) of \(owner): \(error)")
      }
    }
    let extensions = cluster["extensions"]?.arrayValue ?? []
    native = extensions.first { $0["name"] == "stint" }?[path: ["extension", "native"]]?.stringValue
    let who = "user \(JSON.string(context["user"]?.stringValue ?? "").text)"
    let place = "cluster \(JSON.string(context["cluster"]?.stringValue ?? "").text)"
    identity = Identity(
      own: PEMIdentity(
        certificate: try content(user, "client-certificate", of: who), key: try content(user, "client-key", of: who)),
      authority: try content(cluster, "certificate-authority", of: place))
  }
}
