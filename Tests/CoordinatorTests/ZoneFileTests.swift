// The system's zones, as a coordinator reads them at its start.

import ClusterProto
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("Zone files")
struct ZoneFileTests {
  @Test("the system's zones are read, those in folders of folders too, and what is no zone is left out")
  func system() throws {
    let zones = ZoneFiles.read()
    let winter = try #require(WallTime(rfc3339: "2026-01-15T12:00:00Z")).seconds
    let summer = try #require(WallTime(rfc3339: "2026-07-15T12:00:00Z")).seconds
    let berlin = try #require(zones.table("Europe/Berlin"))
    #expect(berlin.offset(at: winter) == 3_600 && berlin.offset(at: summer) == 7_200)
    let deep = try #require(zones.table("America/Argentina/Buenos_Aires"))
    #expect(deep.offset(at: summer) == -10_800)
    for name in ["tzdata.zi", "zone.tab", "Europe", "posix/Europe/Berlin", "right/UTC", "Mars/Base", ""] {
      #expect(zones.table(name) == nil, "\(name) is no zone")
    }
  }
}
