// Owns: a client that keeps a copy of a kind over HTTPS by list and watch, as informers do, goes on from its last event
// when the connection breaks, and holds every event against what it has. It must not know what happens to the cluster.

import ClusterIO
import ClusterProto
import HTTPTestSupport

@testable import Coordinator

/// The way to a cluster's Kubernetes API as it is at the moment.
struct KubernetesAPI {
  let address: SocketAddress
  let context: TLSContext

  init(_ cluster: TestCluster) throws {
    let directory = "\(cluster.directory)/coordinator"
    address = try found(DataDirectory(path: directory).announcedAPI(), "address of the Kubernetes API")
    let pki = try PKI(directory: directory, host: "127.0.0.1")
    context = try TLSContext(client: pki.administrator, authority: pki.authority.certificate)
  }
}

final class Informer {
  let path: String
  /// Versions by uid.
  private(set) var copy: [String: Int64] = [:]
  /// How often it had to begin anew, and how often it went on from a version.
  private(set) var lists = 0
  private(set) var resumptions = 0
  /// The last version that it was told by each coordinator, by the coordinator's number.
  private(set) var reached: [Int: Int64] = [:]
  private(set) var events: [(uid: String, version: Int64, type: String)] = []

  private let loop: EventLoop
  private var listing: HTTPTestClient?
  private var watching: HTTPTestClient?
  private var version: Int64 = 0
  private var coordinator = 0
  private var seen: Set<String> = []
  private var start: [String: Int64] = [:]

  /// `path`: of the collection, perhaps with a query.
  init(_ path: String, _ loop: EventLoop) {
    self.path = path
    self.loop = loop
  }

  /// Whether a watch of that coordinator is open.
  func isWatching(coordinator number: Int) -> Bool {
    coordinator == number && watching.map { !$0.isClosed } ?? false
  }

  private func target(_ query: String) -> String { path + (path.contains("?") ? "&" : "?") + query }

  private static func uid(_ object: JSON) -> String { object[path: ["metadata", "uid"]]?.stringValue ?? "" }
  private static func version(_ object: JSON) -> Int64 {
    (object[path: ["metadata", "resourceVersion"]]?.stringValue).flatMap { Int64($0) } ?? 0
  }

  /// Does what can be done now; `api` nil: there is no coordinator. `number`: which one it is.
  func advance(_ api: KubernetesAPI?, coordinator number: Int) throws {
    if let client = watching {
      try take(client.takeEvents())
      if client.isClosed || client.isStreamOver, watching === client { watching = nil }
    } else if let client = listing {
      if let answer = client.takeAnswer() {
        begin(answer.json)
        client.connection.close()
        listing = nil
      } else if client.isClosed {
        listing = nil
      }
    } else if let api, let client = try? HTTPTestClient(loop, api.address, api.context) {
      if version == 0 {
        client.connection.send(HTTPTestClient.request("GET", path))
        listing = client
      } else {
        let query = "watch=1&allowWatchBookmarks=true&resourceVersion=\(version)"
        client.connection.send(HTTPTestClient.request("GET", target(query)))
        watching = client
        coordinator = number
        resumptions += 1
      }
    }
  }

  static func versions(_ list: JSON) -> [String: Int64] {
    Dictionary(
      (list["items"]?.arrayValue ?? []).map { (uid($0), version($0)) }, uniquingKeysWith: { first, _ in first })
  }

  private func begin(_ list: JSON) {
    copy = Informer.versions(list)
    start = copy
    version = Informer.version(list)
    events = []
    reached = [:]
    lists += 1
  }

  private func take(_ answers: [JSON]) throws {
    for answer in answers {
      let type = answer["type"]?.stringValue ?? ""
      let object = answer["object"] ?? .null
      if type == "ERROR" {
        try checkEqual(object["code"]?.intValue, 410, "the code of \(object)")
        watching?.connection.close()
        watching = nil
        version = 0
        return
      }
      let number = Informer.version(object)
      let uid = Informer.uid(object)
      let isLater = number > version || (type == "BOOKMARK" && number == version)
      try check(isLater, "\(path): \(type) at \(number) after \(version)")
      version = number
      reached[coordinator] = number
      if type == "BOOKMARK" { continue }
      try check(seen.insert("\(uid) \(number)").inserted, "\(path): \(uid) at \(number) came twice")
      try check((copy[uid] == nil) == (type == "ADDED"), "\(path): \(type) of \(uid), known at \(copy[uid] ?? 0)")
      copy[uid] = type == "DELETED" ? nil : number
      events.append((uid, number, type))
    }
  }

  /// What its copy was at a version that it has passed.
  func copy(at version: Int64) -> [String: Int64] {
    var result = start
    for event in events where event.version <= version {
      result[event.uid] = event.type == "DELETED" ? nil : event.version
    }
    return result
  }
}
