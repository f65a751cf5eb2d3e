"""French verbs and what they ask for, in groups by effect. Data only; layer: core/intent.

A verb of the first group stands alone; the others and those that change their stem are followed by their commands.
"""

from __future__ import annotations

from carapax.core.intent.vocabulary import (
    ACCESS_NOUNS,
    ADD,
    DRAFT_NOUNS,
    EDIT,
    ERASE,
    GROUPS,
    JOIN,
    LOGIN,
    LOGIN_NOUNS,
    MAKE,
    MEET_NOUNS,
    MONEY_NOUNS,
    OPEN,
    PAY,
    PEOPLE,
    POST,
    TELL,
    TEXT_NOUNS,
    THINGS,
    TRADE_NOUNS,
    WEB,
    WEB_NOUNS,
    Frame,
)
from carapax.core.terms.action import Effect

FRENCH: tuple[Frame, ...] = (
    Frame(
        "envoyer/envoie/envoies/envoyez transférer/transfère/transfères expédier notifier informer "
        "inviter contacter prévenir/préviens/prévenez avertir/avertis/avertissez relancer",
        TELL,
    ),
    Frame(
        "répondre/réponds/répondez transmettre/transmets/transmettez adresser féliciter remercier "
        "signaler saluer solliciter",
        TELL,
    ),
    Frame("souhaiter", TELL, near="anniversaire bonne bon joyeux joyeuse chance"),
    Frame(
        "dire/dis/dites demander appeler/appelle/appelles/appelez téléphoner rappeler/rappelle/rappelez confirmer", TELL
    ),
    Frame(
        "écrire/écris/écrivez laisser passer donner",
        TELL,
        near="mail mails courriel message sms lettre mot email coup lui leur",
        unless=DRAFT_NOUNS + " fichier",
    ),
    Frame("écrire/écris/écrivez", TELL, into="0person 0mail", unless=DRAFT_NOUNS + " fichier dossier"),
    Frame(
        "accepter refuser décliner valider",
        TELL | EDIT,
        near="invitation demande offre conge conges candidature proposition",
    ),
    Frame(
        "planifier organiser créer/crée/crées fixer prévoir/prévois/prévoyez programmer caler ajouter "
        "mettre/mets/mettez",
        TELL | ADD,
        near=MEET_NOUNS,
        also="avec participants invites 0mail equipe",
    ),
    Frame("désabonner/désabonne désinscrire/désinscris/désinscrivez", TELL | ERASE),
    Frame("abonner inscrire/inscris/inscrivez rejoindre/rejoins/rejoignez", TELL | ADD),
    Frame("publier poster tweeter diffuser annoncer téléverser commenter", POST),
    Frame("mettre/mets/mettez", POST, near="ligne public"),
    Frame(
        "supprimer effacer retirer enlever/enlève/enlevez jeter/jette/jetez vider "
        "détruire/détruis/détruisez désinstaller résilier purger ôter",
        ERASE,
    ),
    Frame("annuler", ERASE),
    Frame("annuler reporter modifier changer déplacer décaler résilier", PAY, near=TRADE_NOUNS, unless=TEXT_NOUNS),
    Frame(
        "payer/paie/paies/paye/payes/payez acheter/achète/achetez commander réserver virer/vire/virez "
        "verser rembourser louer renouveler/renouvelle investir/investis recharger",
        PAY,
    ),
    Frame(
        "régler/règle/réglez",
        PAY,
        near="facture factures addition amende loyer dette solde achat commande note 0money frais cotisation",
    ),
    Frame(
        "envoyer/envoie/envoyez faire/fais/faites donner rendre/rends/rendez transférer/transfère prêter",
        PAY,
        near=MONEY_NOUNS + " don",
        unless="rappel recu facture liste",
    ),
    Frame(
        "mettre/mets/mettez modifier changer programmer augmenter baisser ajuster planifier créer/crée",
        PAY,
        near="virement virements loyer prelevement paiement paiements",
        unless=TEXT_NOUNS,
    ),
    Frame("prendre/prends/prenez fixer trouver", PAY | TELL | ADD, near="rendez rdv rendezvous"),
    Frame("prendre/prends/prenez trouver", PAY, near="billet billets table place places"),
    Frame("passer", PAY, near="commande"),
    Frame("partager", JOIN, also="avec a au aux dans sur entre par 0mail 0handle", unless="avis"),
    Frame("inviter", JOIN),
    Frame("ajouter mettre/mets/mettez intégrer/intègre", JOIN, into=GROUPS, unless=THINGS),
    Frame("ajouter", JOIN, near=PEOPLE, unless=THINGS),
    Frame("autoriser bloquer débloquer bannir/bannis révoquer exclure/exclus", OPEN | EDIT),
    Frame("donner retirer changer modifier accorder", OPEN | EDIT, near=ACCESS_NOUNS),
    Frame("retirer enlever/enlève exclure/exclus supprimer virer", OPEN, near=PEOPLE + " " + GROUPS),
    Frame("ouvrir/ouvre/ouvrez déverrouiller", OPEN | EDIT, near="porte portail garage"),
    Frame("connecter", LOGIN | WEB),
    Frame(
        "changer modifier réinitialiser renouveler/renouvelle générer/génère",
        LOGIN | EDIT,
        near=LOGIN_NOUNS,
        unless="fichier 0file",
    ),
    Frame("télécharger visiter googler", WEB),
    Frame(
        "chercher rechercher ouvrir/ouvre/ouvrez consulter regarder lire/lis/lisez trouver résumer "
        "aller/va/allez vérifier",
        WEB,
        near=WEB_NOUNS,
        unless="0file dossier premiere derniere lignes",
    ),
    Frame(
        "créer/crée/crées/cree ajouter écrire/écris/écrivez mettre/mets/mettez sauvegarder "
        "enregistrer corriger réparer convertir/convertis trier compter calculer comparer "
        "extraire/extrais traduire/traduis/traduisez générer/génère",
        MAKE,
    ),
    Frame(
        "renommer déplacer copier modifier changer remplacer compiler tester lancer exécuter "
        "installer archiver ranger nettoyer éditer rédiger dupliquer compléter/complète préparer "
        "produire/produis faire/fais",
        MAKE,
    ),
    Frame(
        "classer trier regrouper fusionner formater améliorer décompresser compresser développer "
        "construire/construis dessiner optimiser insérer/insère actualiser",
        MAKE,
    ),
    Frame("rappeler/rappelle/rappelez noter planifier programmer reporter décaler", ADD),
    Frame("allumer éteindre/éteins/éteignez baisser augmenter régler/règle fermer monter activer désactiver", EDIT),
    Frame("mettre/mets/mettez", ADD, near="jour rappel agenda calendrier"),
    Frame("laisser mettre/mets/mettez", POST, near="avis commentaire"),
    Frame("rendre/rends/rendez", EDIT | {Effect.PUBLISH, Effect.ACCESS}, near="public publique prive privee"),
    Frame("mettre/mets/mettez", PAY, near="0money", unless=TEXT_NOUNS),
)
