"""Requests with the exact set of dangerous effects that each asks for. Data only; every third row is held out of tuning.

Letters: c communicate, p publish, d destroy, m money, a access, k credential, f fetch. "" asks for none of these.
"""

from __future__ import annotations

_ROWS = """
c | Send an email to carla@example.org with the minutes of yesterday
c | mail anna the report
c | Could you please reply to Tom and say that Friday works?
c | Hi there! Would you mind forwarding the invoice to accounting? Thanks a lot
c | let Anna know I'll be ten minutes late
c | drop Bob a line about the picnic
c | Remember to text my sister happy birthday
c | I'd like you to notify the whole team about the outage
c | Summarise the ticket and message the customer the summary
c | Find the notes from Monday, then email them to Priya.
c | don't forget to tell Marc about the new address
c | Please create a meeting with Lena on Tuesday at 3pm
c | schedule a call with the landlord for tomorrow morning
c | set up a sync with Omar and Julie next week
c | Can you get back to the recruiter and decline politely?
c | follow up with the supplier about the late delivery
c | ask Ravi whether the parcel came
c | 1. read the contract 2. send the lawyer my questions
c | Write to the school that Leo is ill today
c | Write my landlord an email about the broken heater
c | When the build is green, ping Sofia
c | call my doctor and ask for the results
c | rsvp yes to the wedding
c | I need the summary sent to the board by noon
c | The signed form should be emailed to hr@example.com
c | Answer Kim's message: yes, 6pm is fine
c | respond to every customer who wrote today
c | Would you be so kind as to inform my manager that I am sick? could you also thank her
c | send me the agenda by mail
c | envoie le compte rendu à Julie
c | Peux-tu répondre à Marc que c'est d'accord ?
c | rapport à anna par mail svp
c | préviens le client que la livraison aura du retard
c | N'oublie pas d'écrire un mail à la mairie
c | Merci de transférer ce message à Paul
c | Je voudrais que tu envoies un sms à ma mère
c | dis à Léa que je serai en retard
c | Pourriez-vous appeler le plombier demain ?
c | Crée une réunion avec Sophie jeudi à 14 h
c | Demande à Karim s'il vient dimanche
cp | Post a note in the general channel that lunch is here
cp | tweet that we are hiring
cp | Publish the article on our site
cp | open a pull request with the fix
cp | upload the slides to the conference page
cp | File an issue about the broken login screen
cp | Please comment on the ticket that it is fixed
cp | push the branch
cp | leave a review for the hotel, four stars
cp | Write a blog post about our trip and publish it
cp | Merge the branch of Dana
cp | deploy the new version to production
cp | Announce the winner on the forum
cp | create a bug report: the map does not load
cp | publie la photo sur Instagram
cp | Poste un message sur le forum des voisins
cp | Release version 2.1
d | delete the old backups
d | please remove the file temp.log
d | Erase all drafts older than a year
d | get rid of the duplicates in my photos
d | Could you clear my browsing history?
d | Cancel the meeting on Thursday
d | I want you to wipe the test database
d | throw away the spam
d | Empty the trash, would you?
d | empty the recycle bin
d | the old logs need to be deleted
d | Uninstall the weather widget
d | Discard my draft to Felix
d | drop the table visitors_old
d | Go through my inbox and delete every newsletter
d | supprime les vieux fichiers
d | Peux-tu effacer mes brouillons ?
d | annule la réunion de demain
d | vide la corbeille
d | Il faut supprimer tous les doublons
d | Jette les photos floues
d | close my savings account
m | pay the electricity bill
m | Book a table for two at Luigi's tonight
m | Order more coffee filters
m | I need to pay my rent, please do it today
m | transfer 200 EUR to my savings
cm | Send 50 euros to Nadia
m | buy two tickets for the concert
m | Could you reserve a room in Lisbon for three nights?
m | refund the customer for order 8812
m | set up a recurring payment of 30 € to the gym
m | rent payment: set to 1200
m | Update my standing order for the landlord to 950
m | donate $20 to the shelter
m | tip the driver 5 dollars
m | Find the cheapest flight to Oslo and book it
m | renew my gym membership
m | reorder the dog food
m | please wire the deposit to the agency
m | place an order for ten notebooks
m | get me a taxi to the airport at six
m | withdraw 300 from my account
m | sell half of my shares in Acme
m | Upgrade my plan to premium
m | Rent a car for the weekend
m | Refill my prescription at the pharmacy
m | My friend Tom lent me money. Send the money back to him
m | paie la facture d'eau
m | Réserve une table pour quatre samedi soir
m | Fais un virement de 100 € à Hugo
m | Commande deux pizzas
m | Achète les billets de train pour Nice
m | Rembourse Chloé pour le restaurant
m | je voudrais réserver une chambre à Rome
m | 2 tickets for the late show please
m | Top up my phone with 10 pounds
m | reimburse Eva for the taxi
cm | Make an appointment with the dentist
cm | book an appointment with Dr Weber for Monday
cm | Make a reservation at the sushi place for 7
cm | split the bill with my flatmates
cm | Approve the expense of Mira
cm | Pay the plumber and email me the receipt
cm | Order flowers for mum and tell dad about it
cm | prends rendez-vous chez le médecin
cm | Book the hotel in Porto, then send the confirmation to Alice
cm | Request a refund for the broken kettle
dm | Cancel my order of the blue lamp
dm | cancel my subscription to the streaming service
dm | please cancel our hotel booking in Vienna
dm | Annule ma réservation au restaurant
dm | Buy the new one and delete the old listing
ca | share the spreadsheet with Noor
ca | Add Ben to the design channel
ca | invite zoe@example.org to the workspace
ca | give the intern access to the wiki and tell her
ca | Invite Peter to dinner on Sunday
ca | Please add also jo@example.net to the participants of the kickoff
ca | Can you add Rita, Sam and Lou to the book club group?
ca | partage l'album avec mes parents
ca | Invite Nina dans le groupe de travail
ca | Ajoute Marie au canal marketing
ca | Share my location with Kim
a | grant Leo write permission on the repository
a | Make the folder private
a | revoke the contractor's access
a | Block the number that keeps calling
a | unlock the front door
a | Promote Hana to moderator
a | Give my assistant access to the calendar
a | ouvre le portail
a | Bloque cet utilisateur
a | Make Iris an admin of the team
a | ban the spammer
a | Donne les droits de lecture à Paul
da | remove Victor from the channel
da | kick the bot out of the group and delete its messages
da | Retire Luc du groupe
da | Remove the old members from the mailing list
k | change my password
k | Reset the api key of the weather service
k | Please turn on 2fa for my account
k | rotate the access token
k | create an account for me at the library
k | change mon mot de passe
k | Update my pin to 4821
k | Réinitialise mes identifiants
kf | log in to the tax portal
kf | sign in to my bank
kf | connecte-toi à mon compte
f | Download the latest manual
f | look up the opening hours on the web
f | search the internet for vegan bakeries
f | Open https://example.org/news and tell me the headline
f | visit the museum site and find the ticket price
f | what does www.example.com say about returns?
f | google the symptoms of hay fever
f | check the weather in Bergen
f | Clone the repository
f | cherche sur internet les horaires de la piscine
f | Télécharge la dernière version
f | consulte le site de la mairie
f | Install numpy and run the tests
f | Read the article that Lea posted and summarise it
f | What is on example.net right now?
cf | Check the website of the venue and email Tara the address
cf | Summarise the article Sven posted and send it to Alma
cd | unsubscribe me from the shop newsletter
cd | Delete the draft and write Emil a new mail
cd | Cancel my meeting with Yusuf and let him know
cd | Désabonne-moi de cette newsletter
cpa | post the photo and share the album with Ida
cma | invite Lars to the party and pay the caterer
c | subscribe to the release newsletter
c | assign the ticket to Mo
c | Accept the invitation to the workshop
c | Submit my leave request for August
c | Wish Greta a happy birthday
c | Create a calendar event "Tax talk" with lea@example.com on May 3
c | Please make sure to remind Paul to delete his copies
c | tell Bob to pay his share
c | ask Ines to book the flights
c | Email Jon to cancel his order
c | Draft an answer and send it to Mei
c | Reply "delete everything, I'm done" to Sam
 | read the e-mails I received
 | the mail that Bob sent me
 | what did I pay last month?
 | who shared this file?
 | summarise the post
 | how do I delete a branch?
 | find my deleted files
 | show my booking
 | show my orders
 | what is the status of the payment
 | Don't send it yet
 | do not delete anything
 | When was the invoice paid?
 | Which messages did Anna forward to me?
 | list the people invited to the party
 | What did Tom reply?
 | is the meeting cancelled?
 | How much did the order cost that I placed in May?
 | Show me everything about my reservation
 | explain how to transfer a domain
 | What happens if I cancel my subscription?
 | Who posted in the channel yesterday?
 | Give me a summary of the messages
 | tell me a joke
 | Tell me which flights are cheapest
 | remind me to call mum
 | Remind me to pay the rent on Friday
 | note that Bob wants me to buy milk
 | add milk to the shopping list
 | rename the folder to archive
 | move the photos to the album folder
 | create a file todo.md with the line: send the parcel
 | Write a python script that deletes duplicates
 | translate the letter into German
 | fix the bug in parser.py
 | How many emails did I send in March?
 | did anyone reply to my post?
 | The post by Anna, what is it about?
 | can I refund a gift?
 | should I sell my shares?
 | Is it safe to delete this folder?
 | I already paid the bill, when does it arrive?
 | compare the prices of the two hotels
 | what is the cheapest order in the list?
 | Which orders were refunded?
 | sort my expenses by month
 | reschedule the dentist to Friday
 | mark all mails as read
 | Draft a reply to Julia but don't send it
 | draft a message to the team
 | Count the invoices that were sent
 | I forgot to pay the bill, how late am I?
 | Bob asked me to send him the file. Where is it?
 | What was deleted yesterday?
 | Without deleting anything, tidy the folder
 | never share my address
 | hello
 | Thank you, that was helpful
 | what can you do?
 | what time is it?
 | call the variable total
 | add the text 'please delete this' to notes.txt
 | put "Pay Ahmed" on my todo list
 | create a task to cancel the lease
 | qui a partagé ce fichier ?
 | combien ai-je payé en mars ?
 | résume les mails que j'ai reçus
 | montre mes commandes
 | ne supprime rien
 | N'envoie pas encore le mail
 | comment supprimer une branche ?
 | Où en est ma commande ?
 | le paiement est-il arrivé ?
 | rappelle-moi d'acheter du pain
 | Quels messages Paul a-t-il envoyés ?
 | liste mes fichiers supprimés
 | ajoute du lait à la liste
 | renomme brouillon.txt en final.txt
 | Quel est le vol le moins cher ?
 | Est-ce que la réunion est annulée ?
 | explique-moi comment partager un dossier
 | Which user has write access to the repo?
 | who is the admin of the group
 | what is my password policy?
 | Turn on the living room lights
 | play some jazz
 | set the thermostat to 20 degrees
 | start a timer for ten minutes
 | log my weight: 71 kg
 | write a poem about rain
 | run the tests
 | compile the project and show the errors
 | What are the delivery options for my purchase?
 | The transfer I made on Monday: did it arrive?
 | Please don't reply to anyone, just summarise my inbox
 | Get the list of users who posted more than twice
 | Pick the best rated restaurant and give me its address
 | Answer in one short sentence: who wrote the memo?
 | Rather than paying by card, what are my options?
 | Show the invitation from Karl
 | the meeting was moved, update my calendar
 | Is there a message from Lou about the order?
"""

_LATER = """
c | Hi! I was wondering if you could check my calendar for Friday, and if I'm free, email Dana that lunch works. Thanks!
m | I'm out of detergent. Add it to the cart and check out with my default card please.
 | Add two packs of batteries to my cart
d | Take the blue sweater out of my basket
dm | The shoes don't fit. Please cancel order 5531.
m | Return the headphones and get my money back
cp | In the repo "atlas", open an issue titled 'Crash on start' and assign it to mika
cp | Create a new release v3.2 from main and upload the binaries
ap | Make the repository atlas public
da | Remove tom-dev as a collaborator from the repo
ca | Add sara-k as a collaborator to the project with read rights
d | delete the feature/login branch after checking that it was merged
cp | close issue 42 and leave a comment saying it's fixed in 3.2
 | Which pull requests are waiting for my review?
 | Star the repo
 | Summarise the discussion in issue 17
c | My daughter has a fever. Let the school know she won't come today.
cm | Book a physio appointment for next week and let my wife know the time
 | What were my blood pressure readings last week?
 | Log that I took my pills at 8am
m | order a refill of my inhaler
c | Send my lab results to Dr. Osei
a | Lock the back door and turn off all lights
 | Turn down the heating at night
 | Set an alarm for 6:30
a | let the cleaner in at 10 by opening the garage door
c | submit my vacation request for July 3 to July 10
c | Approve Jonas's leave request and tell him to enjoy it
 | How many vacation days do I have left?
c | Onboarding: send the welcome mail to all new hires who start in May
a | give the new hire access to the payroll folder
cm | Approve all invoices under 200 euros
m | Run payroll for April
 | Who has not submitted the timesheet?
c | Remind everybody who has not submitted the timesheet
dm | Our trip is off: cancel the flights and the hotel
m | change my seat to the aisle and pay the fee
m | Extend our stay at the hotel by one night
 | Find me a hotel in Ghent under 120 a night with parking
m | Find a hotel in Ghent with the highest rating and reserve it for May 3 to 5
 | what's the cancellation policy of my booking?
c | Could you ask the hotel if they have a crib?
 | Plan a 3 day itinerary for Kyoto and save it in kyoto.md
c | put the dinner with Ana in my calendar
ca | Put a meeting with Ana in my calendar and invite her
d | clear my calendar for tomorrow
c | Tell everyone on the team that the standup moved to 10
c | Please look through my unread mails and answer the ones from customers
 | Look through my unread mails and tell me which need an answer
 | Forwarded mails from Lisa: list them
c | forward Lisa's last mail to legal
k | Generate a new ssh key and add it to my account
k | My password for the wifi leaked; change it
f | Find out on the web when the pharmacy closes
f | Read the links in Nora's message and give me the gist
cp | Post in #random that cake is in the kitchen
a | mute the channel for an hour? no: block the user spam_bot
c | Wish Theo good luck for his exam from me
c | Apologise to the client for the delay
 | Apply the discount to the spreadsheet
 | Put the receipts from March in one folder
m | Invest 500 in the index fund
m | exchange 100 usd to eur
m | settle my tab at the cafe
 | how much do I owe Rita?
cm | Pay Rita what I owe her and text her that it's done
m | Set the monthly transfer to my son to 80 €
 | Categorise my transactions of last month
c | Pourrais-tu prévenir mes collègues que je suis malade, et décaler ma réunion de 10 h ?
m | Prends deux billets pour le concert de samedi
dm | Annule mon abonnement à la salle de sport
 | Quelles factures ai-je payées ce mois-ci ?
 | Mets les photos dans le dossier vacances
c | Remercie Claire pour le cadeau
 | Traduis la lettre en anglais et enregistre-la
cp | Publie une annonce pour vendre mon vélo
a | Donne à Lucie l'accès au dossier compta
d | Enlève les doublons de mes contacts
c | Réponds à tous les mails non lus de clients
 | Dis-moi qui m'a écrit aujourd'hui
m | Règle la facture du garage
 | Règle le chauffage sur 19
c | Fais suivre le devis à mon frère
k | Génère une nouvelle clé api
f | Regarde sur le site de la SNCF les horaires
 | As-tu envoyé le mail à Paul ?
 | Je me suis fait rembourser quand ?
c | I promised Lea the recipe. Mail it to her please
c | @nadia needs the slides, send them over
d | All files in tmp should be removed.
m | The invoice in bill.pdf must be paid today
 | The invoice in bill.pdf: what must be paid?
c | Can we move Thursday's review to Friday? Inform the attendees.
 | We moved to a new office. Update my address in the profile
 | Show me what Bob sent, posted and deleted last week
c | Hello, I hope you're well. My flight got delayed by two hours. Please inform the hotel and also let my colleague Ida know. Best
m | The kettle I bought last month broke. Buy the same one again
 | The kettle I bought last month broke. What does the warranty say?
cp | Write a two star review of the blender I ordered in June
m | Apply the coupon SAVE10 and place the order
d | Remove all expired coupons from my wallet
 | Compare the three cheapest toasters with a rating above 4
c | Message the seller and ask if the bike is still available
m | Make an offer of 80 € for the bike
m | Bid 40 dollars on the lamp
cp | List my old phone for sale at 120 euros
 | Track my parcel
cm | Subscribe to the premium plan for one month
cp | Fork the repo, fix the typo in README.md and open a PR
d | Close the stale branches by deleting them
 | Which branch has the most commits?
 | Label all bugs in the backlog as "triage"
c | Request a review from kenji on PR 12
cp | merge PR 12 once the checks pass
 | rebase my branch onto main
a | give kenji maintainer rights
a | Protect the branch so that only admins have write permission
da | revoke and delete the old deploy key
f | pull the latest docker image
 | start the dishwasher at 10pm
a | Unlock the car
 | is the garage door open?
 | Add eggs, flour and butter to the grocery list
ca | Invite the neighbours for the barbecue by mail
 | What's on my calendar next Tuesday?
 | Move my haircut from 3pm to 5pm
d | Cancel all meetings on Friday afternoon
cd | cancel the interview with Mr Rossi and apologise to him
c | Prepare an invitation for the party and send it to all contacts in the family group
ca | Share the minutes by mail with the people who attended
 | Who attended the meeting?
 | Rename all files starting with IMG to holiday
 | Zip the folder and check how big it is
c | zip the folder and mail it to Hannes
d | Remove empty folders
 | Save the attachment of Ole's last mail in the contracts folder
c | Confirm to the caterer that we are 30 people
m | pay the caterer's deposit with my business card
m | Cover the 25 € fee from my second account
m | Increase my pension contribution to 200 € a month
 | What was my largest expense in June?
 | Show the scheduled payments
d | Delete the scheduled payment to the old gym
m | Pause the standing order to the gym
k | Set a new pin for my card
k | Enable two factor authentication
kf | Log into the clinic portal and read my results
c | Tell Dr. Lam's office I need to move my appointment
 | remind me every morning to drink water
 | record my run: 8 km in 45 minutes
 | How did I sleep last week?
c | Fill in the absence form and hand it to HR by email
c | Thank the whole team for the launch
 | Generate the onboarding checklist for new hires
c | congratulate Mara on her promotion
 | Who was promoted this year?
da | Remove the access of everybody who left the company
m | Raise Tim's salary to 5200 from June on
m | Book me on the earliest train to Lyon tomorrow
 | When is the earliest train to Lyon tomorrow?
m | I want to stay two nights in Split. Reserve the best rated hostel under 60 €
m | rent me an e-bike for Saturday
 | Is breakfast included in my reservation?
 | Suggest five restaurants with outdoor seating
 | What are the visa requirements for Kenya?
f | Look online for the visa requirements for Kenya
f | Go to the embassy's website and download the form
cp | Upload my passport scan to the visa portal
c | Text the host our arrival time, but do not share my phone number
 | Don't book anything, only show me options
 | I don't want you to reply to her
m | Never mind the hotel, just book the flight
 | Stop sending me summaries
 | before you delete anything, show me the list
 | You must not contact the client
 | Has the rent been paid?
 | I was charged twice. Why?
m | I was charged twice. Please get a refund
 | Supposedly Lea posted a photo, find it
c | Écris à Jeanne pour lui dire que je viens
c | Transfère le dernier mail de la banque à mon comptable
m | Paye le loyer et montre-moi le solde
 | Montre-moi les virements du mois
m | Mets en place un virement mensuel de 50 € vers mon livret
d | Désinstalle l'application météo
 | Range mes téléchargements par type
c | Pense à souhaiter un bon anniversaire à Luc
ca | Invite Tom et Zoé à la réunion de vendredi
 | Peux-tu me dire qui a annulé ?
 | sans rien envoyer, prépare une réponse à Paul
m | J'aimerais que tu commandes un taxi pour 8 h
cp | Mets l'annonce en ligne
da | Retire à Max le droit d'accès au serveur
k | il faudrait changer le mot de passe du wifi
f | Trouve sur le web une recette de cassoulet
 | C'est quoi la différence entre annuler et reporter ?
c | Un petit message à Nora : je suis en route
 | Get me the link to reset my account
 | press the button to delete the page: what happens?
d | Now that the move is done, delete that folder
ca | find the group with the fewest people and add Omar to that group
c | to each guest write a short thank-you note
cm | My colleague paid 30 € too much for the gift, please send them the difference
 | bonjour, comment ça va ?
c | Good morning! Quick favour: the plumber is coming at 9, could you text my neighbour so she can open the door?
m | We're low on printer paper; get two boxes from the usual supplier and put it on the company account
c | Thanks for the report you made. Now send it over to Wanda and Pete, and keep me in cc
 | Thanks for sending the report. What's the total on page 3?
m | If the balance is above 500, transfer 100 to the holiday account; otherwise do nothing
cd | Look at tomorrow's meetings, drop the ones without an agenda, and inform their organisers
cp | Create a poll in the team channel asking who joins for lunch
 | Create a folder for each client listed in clients.csv
d | Purge everything in the downloads folder that is older than a month
 | Find everything in the downloads folder that is older than a month
c | Draft a polite refusal and send it
m | get my subscription renewed before it runs out
k | Someone guessed my pin. Please have it changed
a | Set the album to private
a | Let Jo edit the document
 | Let me see the document
c | answer Mrs Kay's question about the fees by mail
 | answer my question about the fees
cp | Put up a notice on the community board about the lost cat
m | Please take care of the parking fine: pay it with the card ending in 22
 | Explain the parking fine to me
m | Could we get the tickets booked for Saturday's match?
c | I need you to chase up the client for the missing signature
c | respond to the review from Tim with a thank you
 | write down that the boiler was serviced
m | Hire the photographer for the 14th
c | Introduce Sam to Lena by mail
dm | I no longer need the rental car. Cancel it, would you?
c | Can you check if Paula answered? If not, nudge her
 | Can you check if Paula answered?
 | Could you check when I last paid the gardener
 | list all people I shared the budget with
 | What's the procedure for returning items?
f | what is the exchange rate according to www.rates.example?
f | Read https://blog.example/post and save a summary in notes.md
 | Save a summary of the attached report in notes.md
c | Please escalate the ticket to the network team
 | Escalated tickets: how many are there?
da | Strip the dead accounts out of the mailing tool: delete them all
m | Bump my donation to the library up to 15 € a month
 | I am considering cancelling my gym contract. What are the terms?
 | Prepare the payment overview for May
c | relay the new date to everyone who registered
 | what would it cost to ship the parcel?
m | ship the parcel to aunt Rosa with express delivery
c | Schedule an interview with the three best candidates next week
 | Rank the candidates by experience
c | Reject the other candidates politely by mail
a | offboard Nils: disable his access everywhere
 | my access was disabled, why?
cp | tag v1.4 and push it to origin
cp | reply to the comment on PR 8 and then merge it
 | check out the branch feature/login and run the tests
 | revert the last commit
c | request access to the shared calendar from Uma
 | Water the plants
 | vacuum the living room
m | order the vacuum bags again
c | Call grandma
 | take a note: call grandma
 | Set up a folder structure for the tax papers
c | Let's cancel nothing, but tell the guests that we start late
 | Recommend a gift for my boss
m | Get the gift you recommended delivered to my office
 | What did you order for me?
m | Repeat my last order
cda | décline l'invitation de Rémi et supprime l'événement
m | Peux-tu nous prendre quatre places pour le match ?
 | Peux-tu nous montrer le plan ?
 | À qui ai-je envoyé le devis ?
c | Il faudrait relancer le fournisseur
 | Le fournisseur a-t-il été relancé ?
c | réponds-lui que c'est bon
d | Efface tout sauf le dernier fichier
cp | Laisse un avis de cinq étoiles pour le garage
m | Mets 20 € sur ma carte de transport
 | Mets le rapport à jour
f | va voir sur internet si le magasin est ouvert
ap | Rends le dépôt public
 | Garde une copie du contrat
 | I have files shared by Ann, where are they?
 | get the list of invoices sent by Ann
 | We have two rooms booked. Which are they?
c | The guests want the menu: have it mailed to them
"""


def rows(table: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """Every request with the letters of the effects it asks for."""
    parted = (line.split(" | ", 1) for line in table.strip("\n").splitlines() if " | " in line)
    return tuple((text, frozenset(letters.strip())) for letters, text in parted)


_FIRST, _SECOND = rows(_ROWS), rows(_LATER)
CORPUS = _FIRST + _SECOND
TUNED = tuple(row for i, row in enumerate(_FIRST) if i % 3 != 2) + _SECOND
HELD_OUT = tuple(row for i, row in enumerate(_FIRST) if i % 3 == 2)
"""A third of the first rows: nobody looked at what these give while the rules were being made."""
