// The store knows its authority: what is refused when `pki/authority.pem` is gone or another cluster's, and that an
// exchange which a crash has cut anywhere comes up.

import ClusterIO
import ClusterProto
import CoordinatorCore
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("A store and its authority") struct AuthorityRecordTests {
  private struct Place {
    let directory: TemporaryDirectory
    var pki: String { "\(directory.path)/pki" }
    var file: String { "\(pki)/authority.pem" }
    var kubeconfig: String { "\(directory.path)/admin.kubeconfig" }

    init() throws {
      directory = try TemporaryDirectory()
      try start()
    }

    func start(acceptsNew: Bool = false) throws {
      try LiveServer(directory) { options in
        options.api = .tcp(host: "127.0.0.1", port: 0)
        options.acceptsNewAuthority = acceptsNew
      }.stop()
    }

    func refusal() throws -> String { try #require(throws: ServerError.self) { try start() }.description }
  }

  @Test("without its authority a cluster does not start, nor make another, unless it is told to")
  func missing() throws {
    let place = try Place()
    let before = (try Files.read(place.file), try Files.read(place.kubeconfig))
    try Files.removeTree(place.pki)
    for _ in 0..<2 {
      let reason = try place.refusal()
      #expect(reason.contains("authority is missing") && reason.contains("--new-authority"), "\(reason)")
      #expect(!Files.exists(place.file))
      #expect(try Files.read(place.kubeconfig) == before.1)
    }
    // Put back, it goes on.
    try Files.writeAtomically(place.file, before.0, mode: 0o600)
    try place.start()
    try Files.removeTree(place.pki)
    try place.start(acceptsNew: true)
    #expect(try Files.read(place.file) != before.0)
    try place.start()
    try Files.writeAtomically(place.file, before.0, mode: 0o600)
    #expect(try place.refusal().contains("not the authority of this cluster"))
  }

  @Test("with another cluster's authority a cluster does not start, and signs nothing by it")
  func foreign() throws {
    let place = try Place()
    let other = try Place()
    let before = try Files.read("\(place.pki)/admin.pem")
    try Files.writeAtomically(place.file, try Files.read(other.file), mode: 0o600)
    let reason = try place.refusal()
    #expect(reason.contains("not the authority of this cluster") && reason.contains("backup"), "\(reason)")
    #expect(try Files.read("\(place.pki)/admin.pem") == before)
  }

  @Test("an exchange of the authority that was cut between the files and the store comes up, at each step")
  func cutExchange() throws {
    let place = try Place()
    let former = try Files.read(place.file)
    try Authorities.exchange(below: place.pki)
    let next = try Files.read(place.file)
    // Only `former.pem` was written.
    try Files.writeAtomically(place.file, former, mode: 0o600)
    try place.start()
    try Authorities.exchange(below: place.pki)
    let last = try Files.read(place.file)
    #expect(last != next && last != former)
    try place.start()
    try Authorities.drop(below: place.pki)
    try place.start()
    // What was dropped is no authority of this cluster any more.
    try Files.writeAtomically(place.file, former, mode: 0o600)
    #expect(try place.refusal().contains("not the authority of this cluster"))
  }

  @Test("a store without a record takes the authority that is there, and none where there is none")
  func olderStore() throws {
    let place = try Place()
    var rows: [StoreRow] = []
    let record = try #require(AuthorityRecord(takenFrom: &rows, isNew: false))
    try record.check(place.pki)
    try Files.removeTree(place.file)
    #expect(throws: IOError.self) { try record.check(place.pki) }
    #expect(AuthorityRecord(takenFrom: &rows, isNew: true) == nil)
  }
}
