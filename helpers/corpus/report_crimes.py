"""What a kind of report is made of, and the kinds about crimes and accidents: roles, vocabulary and sentence patterns.

Patterns hold `{slots}`, filled by `report_parts.Writer`, and `[one|of|several]` alternatives; an item marked `~` may
take an article. Sentences never name a person, an address or a point in time outside a slot, so what a report states
is known exactly.
"""
from __future__ import annotations

from dataclasses import dataclass, replace


def words(text: str) -> tuple[str, ...]:
    """Entries separated by semicolons; spaces and line ends inside an entry count as one space."""
    return tuple(" ".join(part.split()) for part in text.split(";") if part.strip())


def sentences(text: str) -> tuple[str, ...]:
    """One pattern a line."""
    return tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())


@dataclass(frozen=True)
class Kind:
    """One kind of report. Names of roles are nouns in title case; lists are tuples of strings."""

    event: str
    official: str
    titles: tuple[str, ...]
    number: tuple[str, ...]
    number_forms: tuple[str, ...]
    subject: str
    people: tuple[str, ...]
    business: float
    witness: str
    items_label: tuple[str, ...]
    items_headings: tuple[str, ...]
    described: str
    person_described: bool
    types: tuple[str, ...]
    things: tuple[str, ...]
    places: tuple[str, ...]
    spots: tuple[str, ...]
    items: tuple[str, ...]
    statuses: tuple[str, ...]
    summaries: tuple[str, ...]
    body: tuple[str, ...]
    steps: tuple[str, ...]
    endings: tuple[str, ...]
    ages: tuple[int, int] = (18, 88)


TAKING = Kind(
    event="Crime", official="Officer",
    titles=("Officer",) * 5 + ("Sgt.", "Detective", "Constable", "Deputy", "Inspector"), number=("Badge", "Number"),
    number_forms=("Badge #{id}", "Badge {id}", "badge no. {id}", "Badge Number: {id}", "badge #{id}"),
    subject="Victim", business=0.4, witness="Witness", items_label=("Evidence", "Type"),
    items_headings=("Evidence Collected", "Evidence", "Items of Evidence", "Physical Evidence"), described="Suspect",
    person_described=True,
    people=words("""
        homeowner; shop assistant; student; retired teacher; commuter; tourist; nurse; taxi driver; cyclist"""),
    types=words("""
        Theft; Burglary; Robbery; Shoplifting; Vehicle Theft; Bicycle Theft; Pickpocketing; Armed Robbery; Break-in"""),
    things=words("""
        violin; laptop; gold bracelet; camera drone; cash box; delivery van; mountain bike; coin collection;
        wallet; generator; sewing machine; oil painting; tablet; wristwatch; chainsaw; handbag; projector; trumpet"""),
    places=words("""
        bakery; pharmacy; terraced house; ferry terminal; garage; jewellery shop; allotment; gym; flower market;
        guest house; allotment shed; vineyard office; second-floor apartment; library; car wash; tailor's shop"""),
    spots=words("""
        back door; side window; stockroom door; cellar door; loading gate; skylight; bedroom window; front
        entrance; garage door; fire exit; balcony door; staff entrance"""),
    items=words("""
        security camera recording; pry marks on the {spot}; partial fingerprints; muddy shoe prints; ~broken
        padlock; ~torn jacket sleeve; ~cigarette end; ~abandoned crowbar; tyre tracks; strands of hair; ~receipt
        for {a_thing}; glass splinters; ~blue fibre sample; ~screwdriver; ~dropped key ring; alarm log; ~phone
        video; ~knit cap"""),
    statuses=words("""
        Under Investigation; Open; Closed; Pending; Suspended; Active; Cleared by Arrest; Awaiting Lab Results;
        Referred to Detectives; Inactive"""),
    summaries=sentences("""
        {A_thing} [was stolen|disappeared] from {a_place} while [staff were|the owner was|nobody was] \
            [upstairs|on a break|nearby].
        [Someone|An intruder|An unknown person] [forced|broke open] the {spot} of {a_place} and [left \
            with|carried off] {a_thing}.
        {A_thing} and {a_thing2} were [reported missing|taken] after a [break-in|quick raid] at {a_place}.
        The {subject_word} [noticed|discovered] that {a_thing} had been removed from the {spot} of {a_place}.
        A [lone thief|pair of thieves|hooded person] [grabbed|snatched] {a_thing} near the {spot} of {a_place}."""),
    body=sentences("""
        The {spot} [had been|was found] [forced|left ajar|unlocked] and {a_thing2} [lay|was found] on the floor.
        {Subject_again} last saw the {thing} at [about|approximately|around] {clock} and noticed the loss [soon \
            after|on returning].
        Nothing else [seems|appears] to be missing, although the {spot2} [had been|was] tried as well.
        The insurance of the {place} is handled by {person} [of|at] {company2}.
        The alarm [was switched off|did not sound|went off at {clock}].
        The thief [left through|is thought to have entered by] the {spot} and [ran|walked] towards the \
            [station|river|car park]."""),
    steps=sentences("""
        [Check|Collect] recordings from the [tram stop|petrol station|shops] nearby.
        {Official_again} will [visit|ring] local [pawn shops|second-hand dealers] about the {thing}.
        The [serial number|description] of the {thing} [has been|will be] [circulated|entered in the database]."""),
    endings=sentences("""
        The [case|matter] [stays|remains] open until the {thing} is [found|recovered].
        No arrest has been made [so far|yet], and further [leads|tips] are being followed.
        The [inquiry|investigation] [goes on|continues] and {subject_again} will be kept informed."""))

DAMAGE = replace(
    TAKING,
    types=words("Vandalism; Arson; Property Damage; Criminal Damage; Graffiti; Trespassing; Illegal Dumping"),
    things=words("""
        bus shelter; front gate; statue; greenhouse; parked car; shop sign; garden wall; vending machine; mural;
        ticket machine; playground slide; mailbox; bench; fishing boat; scoreboard"""),
    items=words("""
        ~empty spray can; paint flakes; ~soot sample; ~half-burnt rag; ~brick with fibres; ~lighter; ~glove;
        photographs of the {thing}; ~boot print near the {spot}; ~doorbell camera clip; ~petrol canister; ~marker
        pen; ~discarded mask; bolt cutter; ~handwritten note; ~broken bottle"""),
    summaries=sentences("""
        {A_thing} [beside|outside] {a_place} was [smashed|set alight|covered in paint|badly scratched].
        [Vandals|Unknown persons] damaged {a_thing} and {a_thing2} at {a_place}.
        A [passer-by|caretaker] found {a_thing} [wrecked|defaced|burning] near the {spot} of {a_place}.
        [Several|At least {n}] windows of {a_place} were broken and {a_thing} was [tipped over|ruined]."""),
    body=sentences("""
        The damage was [noticed|found] at {clock}, but the {thing} had been intact [the evening before|earlier \
            that day].
        [Red|Green|Silver|Yellow] paint covered the {spot} and part of the {spot2}.
        Two [people|figures] were seen running from the {spot} shortly [before|after] {clock}.
        Repairs to the {thing} will have to wait until [the insurer agrees|photographs are taken].
        {Subject_again} had [locked|checked] the {spot} and [noticed nothing unusual|seen no strangers]."""),
    steps=sentences("""
        {Official_again} will compare the marks with [earlier|similar] cases.
        [Ask|Question] residents who [walk their dogs|park] near the {place}.
        The samples [go|were sent] to the laboratory for comparison."""))

DECEIT = replace(
    TAKING,
    types=words("""
        Fraud; Identity Theft; Forgery; Cybercrime; Embezzlement; Extortion; Online Scam; Credit Card Fraud"""),
    things=words("""
        bank transfer; forged cheque; fake invoice; rental deposit; gift card; online order; loan contract; ticket
        resale"""),
    places=words("""
        travel agency; credit union; care home; car dealership; flat-share; consulting firm; wine merchant; charity"""),
    spots=words("""
        front office; reception; accounts department; online portal; customer desk; mailroom; payroll system"""),
    items=words("""
        bank statements; e-mail headers; screenshots of the chat; ~copy of the {thing}; call log; ~forged
        signature; server log; ~courier slip; ~recorded voicemail; ~payment receipt; fake letterhead; ~prepaid
        phone; browser history"""),
    summaries=sentences("""
        A caller [persuaded|talked] the {subject_word} into paying for {a_thing} that [did not exist|was never \
            ordered].
        Money was [lost|withdrawn] through {a_thing} sent to {a_place}.
        [Someone|A stranger] used stolen details to arrange {a_thing} in the name of the {subject_word}.
        Staff of {a_place} [uncovered|reported] {a_thing} made with a false name."""),
    body=sentences("""
        The [message|call] arrived at {clock} and [asked|pressed] for payment within [the hour|a day].
        {Subject_again} became suspicious when {a_thing2} [appeared|was requested] as well.
        The account behind the {thing} was opened under the name {person}.
        [Two|Three] further payments were stopped by the bank before they left the {spot}.
        The sender used an address that resembled the one of the {place}."""),
    steps=sentences("""
        The bank has been asked to [freeze|trace] the account.
        {Official_again} will request [log files|subscriber data] from the provider.
        {Subject_again} was advised to change all passwords and [watch|check] further statements."""),
    endings=sentences("""
        The [loss|money] has not been recovered.
        The file was [copied|passed] to the [fraud|economic crime] unit.
        [Inquiries|Checks] with the bank [continue|are not finished]."""))

VIOLENCE = replace(
    TAKING,
    types=words("""
        Assault; Harassment; Stalking; Threats; Public Disorder; Battery; Domestic Disturbance; Hit and Run"""),
    things=words("""
        scooter; wine bottle; umbrella; walking stick; pool cue; bicycle chain; folding chair; delivery cart"""),
    places=words("""
        night bus; tavern; football ground; car park; hostel; concert hall; barber shop; canal path; food court"""),
    spots=words("entrance; ticket barrier; bar; back row; smoking area; staircase; exit; kiosk; pavement"),
    items=words("""
        ~torn shirt; ~blood sample; ~broken {thing}; ~medical certificate; ~phone video; threatening text messages;
        body camera recording; photographs of the bruises; spilled drink sample; paint chips; ~headlight fragment;
        ~witness sketch; ~damaged phone; ~taxi receipt"""),
    summaries=sentences("""
        An argument at {a_place} ended with the {subject_word} being [pushed|struck with {a_thing}].
        The {subject_word} was [threatened|followed|attacked] near the {spot} of {a_place}.
        A [dispute|quarrel] over {a_thing} turned violent outside {a_place}.
        [Staff|Guests] separated two people after one was hit with {a_thing} at {a_place}."""),
    body=sentences("""
        The quarrel began at the {spot} [around|at about] {clock} and moved to the {spot2}.
        {Subject_again} was treated for [a cut|bruises|a sprained wrist] and sent home.
        [Guests|Bystanders] called for help and kept the two apart.
        The attacker dropped {a_thing} and [fled|left] on foot.
        The {place} is rented to {person}, who was [abroad|not there] that day."""),
    steps=sentences("""
        {Official_again} will [hear|interview] everyone who was at the {spot}.
        A sketch is being [drawn|prepared].
        A [restraining|protection] order has been [discussed|requested]."""))

ACCIDENT = Kind(
    event="Incident", official="Investigator", titles=("", "Patrol Officer", "Warden", "Trooper", "Mr.", "Ms."),
    number=("ID", "Number"), number_forms=("ID {id}", "unit {id}", "No. {id}", "ID: {id}"), subject="Driver",
    business=0.1, witness="Bystander", items_label=("Damage", "Item"),
    items_headings=("Damage", "Damage Recorded", "Damaged Parts"), described="Vehicle", person_described=False,
    people=words("courier; bus driver; farmer; learner driver; plumber"),
    types=words("""
        Rear-end Collision; Skid; Multi-vehicle Collision; Rollover; Near Miss; Pedestrian Contact; Load Spill;
        Derailment"""),
    things=words("""
        van; tram; tractor; motorcycle; horse trailer; minibus; cement truck; cargo bike; tanker; hatchback"""),
    places=words("roundabout; level crossing; farm track; ring road; bridge; school crossing; tunnel; harbour ramp"),
    spots=words("left lane; kerb; crash barrier; junction; hard shoulder; slip road; lay-by; cycle lane"),
    items=words("""
        ~cracked windscreen; ~dented bonnet; ~bent axle; ~torn tyre; ~smashed tail light; ~scraped door; ~broken
        mirror; leaking radiator; bent road sign; twisted bicycle frame; loose bumper; flattened fence post"""),
    statuses=words("Cleared; Road Reopened; Under Review; Lane Closed; Open; With Insurers"),
    summaries=sentences("""
        {A_thing} [slid|skidded] into {a_thing2} at {a_place} [in heavy rain|on black ice|in low sun].
        {A_thing} lost part of its load near the {spot} of {a_place}.
        Traffic stopped at {a_place} after {a_thing} [hit|clipped] the {spot}."""),
    body=sentences("""
        The {thing} came to rest [on|beside] the {spot}.
        The road was closed until {clock} and traffic was sent past the {spot2}.
        A tow truck from {company2} removed the {thing}.
        {Subject_again} had [braked|swerved] to avoid [a deer|a fallen branch].
        The surface was [wet|icy|covered with leaves] and visibility was [poor|fair]."""),
    steps=sentences("""
        {Official_again} will measure the [skid marks|stopping distance] again in daylight.
        Dash camera recordings have been requested."""),
    endings=sentences("""
        Nobody was [seriously|badly] hurt.
        The [council|road office] was asked to renew the markings."""))

CRIMES = (TAKING, TAKING, DAMAGE, DECEIT, VIOLENCE)
